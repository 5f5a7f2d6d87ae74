BEGIN TRANSACTION;
CREATE TABLE lifecycle_leases (
	name TEXT NOT NULL, 
	holder TEXT NOT NULL, 
	expires FLOAT NOT NULL, 
	PRIMARY KEY (name)
);
CREATE TABLE lifecycle_ledger (
	id INTEGER NOT NULL, 
	time VARCHAR(40) NOT NULL, 
	kind VARCHAR(40) NOT NULL, 
	state VARCHAR(40) NOT NULL, 
	intent INTEGER, 
	model TEXT NOT NULL, 
	version TEXT NOT NULL, 
	source VARCHAR(40) NOT NULL, 
	target VARCHAR(40) NOT NULL, 
	actor TEXT NOT NULL, 
	reason TEXT NOT NULL, 
	digest TEXT, 
	verdict TEXT, 
	details TEXT NOT NULL, 
	previous VARCHAR(64) NOT NULL, 
	hash VARCHAR(64) NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "lifecycle_ledger" VALUES(1,'2026-11-29T20:49:47.023351+00:00','promote','intent',NULL,'diabetes','1','None','Production','ann','the first','sha256:ab','{"passed":true,"results":[]}','{"aliases":[{"after":"1","alias":"champion","before":null}],"before":{"1":"None"},"calls":[["1","Production"]],"moves":[{"created":1700000000000,"from":"None","to":"Production","version":"1"}]}','0000000000000000000000000000000000000000000000000000000000000000','06074d3432619e582f76eed5b5356b419441155697e2e008e5f4ee9316ed6233');
INSERT INTO "lifecycle_ledger" VALUES(2,'2026-11-29T20:49:47.026289+00:00','promote','done',1,'diabetes','1','None','Production','ann','the first','sha256:ab','{"passed":true,"results":[]}','{"aliases":[{"after":"1","alias":"champion","before":null}],"before":{"1":"None"},"calls":[["1","Production"]],"moves":[{"created":1700000000000,"from":"None","to":"Production","version":"1"}]}','06074d3432619e582f76eed5b5356b419441155697e2e008e5f4ee9316ed6233','695b9a2be74eb8ec4e69abac7b035671992bfbc36aed6146a1ee643bc91d1ab9');
INSERT INTO "lifecycle_ledger" VALUES(3,'2026-11-29T20:49:47.027957+00:00','promote','intent',NULL,'diabetes','2','None','Staging','ann','a try; größer','sha256:cd','{"passed":true,"results":[]}','{"aliases":[{"after":"2","alias":"challenger","before":null}],"before":{"2":"None"},"calls":[["2","Staging"]],"moves":[{"created":1700000000001,"from":"None","to":"Staging","version":"2"}]}','695b9a2be74eb8ec4e69abac7b035671992bfbc36aed6146a1ee643bc91d1ab9','07747a34f8ec0977b713156856e9dd4c12c635aeef0ac792729d7dda319f3cbe');
INSERT INTO "lifecycle_ledger" VALUES(4,'2026-11-29T20:49:47.029562+00:00','promote','undone',3,'diabetes','2','None','Staging','ann','a try; größer','sha256:cd','{"passed":true,"results":[]}','{"aliases":[{"after":"2","alias":"challenger","before":null}],"before":{"2":"None"},"calls":[["2","Staging"]],"moves":[{"created":1700000000001,"from":"None","to":"Staging","version":"2"}],"recovered":"nothing was moved"}','07747a34f8ec0977b713156856e9dd4c12c635aeef0ac792729d7dda319f3cbe','61b4daee5d2dbefdd5c7170ca055353a48f967424184ebc961f210543a4e61cf');
INSERT INTO "lifecycle_ledger" VALUES(5,'2026-11-29T20:49:47.033811+00:00','promote','intent',NULL,'diabetes','2','None','Staging','ann','a try; größer','sha256:cd','{"passed":true,"results":[]}','{"aliases":[{"after":"2","alias":"challenger","before":null}],"before":{"2":"None"},"calls":[["2","Staging"]],"moves":[{"created":1700000000001,"from":"None","to":"Staging","version":"2"}]}','61b4daee5d2dbefdd5c7170ca055353a48f967424184ebc961f210543a4e61cf','a7324685670e337c42b254ef3882c3e589dfcbf468e9c115534b841f555e764e');
INSERT INTO "lifecycle_ledger" VALUES(6,'2026-11-29T20:49:47.035400+00:00','promote','done',5,'diabetes','2','None','Staging','ann','a try; größer','sha256:cd','{"passed":true,"results":[]}','{"aliases":[{"after":"2","alias":"challenger","before":null}],"before":{"2":"None"},"calls":[["2","Staging"]],"moves":[{"created":1700000000001,"from":"None","to":"Staging","version":"2"}]}','a7324685670e337c42b254ef3882c3e589dfcbf468e9c115534b841f555e764e','2cf28af2869daa613ab48f9461bb36d8ef90a71853c35b1b32915587d701b213');
INSERT INTO "lifecycle_ledger" VALUES(7,'2026-11-29T20:49:47.036980+00:00','follow','followed',5,'diabetes','2','None','Staging','ann','a try; größer',NULL,NULL,'{"follower":"true","last":true,"said":"","try":1}','2cf28af2869daa613ab48f9461bb36d8ef90a71853c35b1b32915587d701b213','5ddfff43d9b620b3c300adac41fd89d32fc35993e73b073b0dbaaad54f1af509');
INSERT INTO "lifecycle_ledger" VALUES(8,'2026-11-29T20:49:47.038496+00:00','watch','noted',NULL,'','','','','watch','began to watch',NULL,NULL,'{}','5ddfff43d9b620b3c300adac41fd89d32fc35993e73b073b0dbaaad54f1af509','11742e118382fb25c12179956d9d221d0a0b252076a90ee0682e1f63ab101310');
INSERT INTO "lifecycle_ledger" VALUES(9,'2026-11-29T20:49:47.039937+00:00','promote','intent',NULL,'diabetes','2','Staging','Production','ann','cut short',NULL,NULL,'{"aliases":[{"after":"2","alias":"champion","before":"1"}],"before":{"1":"Production","2":"Staging"},"calls":[["2","Production"]],"moves":[{"created":1700000000001,"from":"Staging","to":"Production","version":"2"}]}','11742e118382fb25c12179956d9d221d0a0b252076a90ee0682e1f63ab101310','260516d394dba666e317435299dd93e4b617f2d97217955f87358b50fc284d5c');
CREATE TABLE lifecycle_ledger_head (
	schema_version INTEGER NOT NULL, 
	last INTEGER NOT NULL, 
	hash VARCHAR(64) NOT NULL, 
	PRIMARY KEY (schema_version)
);
INSERT INTO "lifecycle_ledger_head" VALUES(1,9,'260516d394dba666e317435299dd93e4b617f2d97217955f87358b50fc284d5c');
CREATE UNIQUE INDEX lifecycle_ledger_closed ON lifecycle_ledger (intent) WHERE state IN ('done', 'undone');
CREATE INDEX lifecycle_ledger_model ON lifecycle_ledger (model);
CREATE TRIGGER lifecycle_ledger_update BEFORE UPDATE ON lifecycle_ledger BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER lifecycle_ledger_delete BEFORE DELETE ON lifecycle_ledger BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
COMMIT;
