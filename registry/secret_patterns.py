"""What secrets look like: the keys, options, headers and parts of URLs that hold them, as regular expressions."""

import re

# What a key is called that has a secret as its value, without its marks and in lower case.
SECRET = re.compile(
    r"password|passwd|passphrase|passcode|secret(?!ar)|credential|signature|apikey|accesskey|accountkey|privatekey"
    r"|authkey|signingkey|encryptionkey|(pwd|token|jwt|bearer)$|^(sig|pw|authorization|cookie|setcookie)$"
)
# The same where a name is all that tells: in a URL's query, and of an environment variable.
SECRET_IN_QUERY = re.compile(rf"{SECRET.pattern}|^(code|auth|pass|sas)$|(?<!ssl)(?<!tls)(?<!public)key$|auth$")
PASS = re.compile(r"[_.-]pass$", re.IGNORECASE)
# A file with a secret, or where one is had, is none.
ABOUT = re.compile(r"(file|path|name|dir|type|ttl|url|uri)$")

# Schemes that are read as urllib does; what stands before the @ of others is SQLAlchemy's user and password.
WEB = {"http", "https", "ws", "wss", "git", "git+http", "git+https"}
# Of these a user without a password is a name; of others it may be a token.
NAMED_USERS = re.compile(
    r"(postgres(ql)?|mysql|mariadb|oracle|mssql|sqlite|snowflake|redshift|clickhouse|clickhousedb|trino|presto|duckdb"
    r"|cockroachdb|db2|ibm_db_sa|hana|teradatasql|vertica|firebird|awsathena|bigquery|databricks|mongodb|redis|amqps?)"
    r"(\+.*)?|ssh|git\+ssh|sftp|hdfs|abfss?|wasbs?",
    re.IGNORECASE,
)
# What is written for a password where the user is a token.
NO_PASSWORDS = {"", "x", "x-oauth-basic", "x-oauth", "oauth", "api_token", "unused", "any", "none", "ignored"}
# A host that can be no part of a password: with a dot and a last label, or a port.
HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|localhost|\d+(\.\d+){3}|([\w-]+\.)+[A-Za-z]{2,}\.?)(:\d*)?|[\w.-]+:\d+")
PORT = re.compile(r"(\[[^\]]*\]|[^:\[]*):(.*)", re.DOTALL)
# libpq takes several hosts.
PORTS = re.compile(r"\d{0,5}(,(\[[^\]]*\]|[\w.-]*)(:\d{0,5})?)*\W*")
# Host, database and query, with no other @ than one in a query's value.
AFTER_USER = re.compile(r"[^/?#@]*(/[^?#@]*)?([?#][^@]*|\?[\w.%-]+=.*)?", re.DOTALL)
# A path whose rest is the key to it: of a webhook.
HOOK = re.compile(r"(/(?:services|hooks?|webhooks?|webhookb2|incoming|integrations?)/)(.+)", re.IGNORECASE)
HOOK_HOST = re.compile(r"hooks?\.|.*webhook", re.IGNORECASE)
BOT = re.compile(r"(?<=/bot)\d+:[\w-]+")

TOKEN = re.compile(
    r"(?<![A-Za-z0-9])(?:gh[pousr]_[A-Za-z0-9]+|github_pat_\w+|glpat-[\w-]+|xox[a-z]-[\w-]+|sk-[\w-]{16,}"
    r"|[sr]k_(?:live|test)_\w+|hf_\w{16,}|dapi[0-9a-f]{32}|AIza[\w-]{30,}|npm_\w{30,}|pypi-[\w-]{16,}|mlk_[\w-]{8,}"
    r"|eyJ[\w-]{8,}\.[\w-]+\.[\w-]*)"
)
URL = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]{0,60})://(?P<rest>(?:(?![A-Za-z][A-Za-z0-9+.-]{0,20}://)\S)*)")
WHOLE_URL = re.compile(r"\s*(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<rest>.*)", re.DOTALL)

# A value in quotes; a value as a shell, libpq and ODBC write it.
QUOTED = r"'(?:[^'\\\n]|\\.|'')*'|\"(?:[^\"\\\n]|\\.)*\""
BARE = r"(?:[^\s;&'\"]|['\"](?=\w))+"
KEY = r"(?<![\w.-])(?P<key>[\w.-]+)"
PAIR = re.compile(rf"{KEY}(?P<mark>\s*={{1,2}}\s*)(?P<value>\{{(?:[^}}]|\}}\}})*\}}|(?:{QUOTED})+\w*|{BARE})")
# In a list with semicolons a value may hold blanks.
LISTED = re.compile(rf"(?<=;){KEY}(?P<mark>\s*=\s*)(?P<value>[^;{{'\"\n]*(?=;))")
JSON = re.compile(rf"(?P<open>['\"])(?P<key>[\w.-]+)(?P=open)(?P<mark>\s*:\s*)(?P<value>{QUOTED})")
NAMED = re.compile(
    r"(?P<mark>(?<![\w'\"])(?:password|passwd|passphrase)[ \t]*:[ \t]*|<\w*password\w*>)(?P<value>[^\s<'\";,]+)",
    re.IGNORECASE,
)
ESCAPED = re.compile(r"(?P<mark>\\\"(?P<key>[\w.-]+)\\\"\s*:\s*\\\")(?P<value>(?:(?!\\\").)*)(?=\\\")")
OPTION = re.compile(rf"(?<!\S)--?(?P<key>[A-Za-z][\w-]*)(?P<mark>\s+)(?P<value>(?:{QUOTED})+\w*|(?!-){BARE})")
AUTH_SCHEMES = "Bearer|Basic|Token|ApiKey|Negotiate|NTLM|Digest"
HEADER = re.compile(
    r"(?P<open>['\"]?)(?<![\w-])(?P<key>[A-Za-z][\w-]*)(?P<mark>:[ \t]*)"
    rf"(?P<value>(?:(?:{AUTH_SCHEMES})[ \t]+)?[^\s'\"]+)(?P<more>[^'\"\r\n]*)",
    re.IGNORECASE,
)
BEARER = re.compile(r"(?<=\bBearer )[\w.~+/=-]{8,}")
LOGIN = re.compile(r"(?<!\S)(?P<mark>(?:-u|-U|--user|--proxy-user)(?:\s+|=)['\"]?[^\s:'\"]+:)(?P<value>[^\s'\"]+)")
LOGIN_OPTIONS = {"-u", "-U", "--user", "--proxy-user"}
HEADER_OPTIONS = {"-H", "--header", "--proxy-header"}
# ann:secret@host, without a scheme; no models:/name@alias, port/path@x, image:tag@sha256:...
NO_SCHEME = re.compile(
    r"(?:(?<![\w.@%+/-])|(?<=\w:/))(?P<mark>[\w.+%-]+:)(?P<value>(?!/|\d+/)[^\s'\"]+)(?=@[\w\[])(?!@sha256:)"
)
# Programs whose option -p is a password: with a blank before it; without one.
PASSWORD_NEXT = {"sshpass", "login"}
PASSWORD_AT_ONCE = {"mysql", "mysqldump", "mysqladmin", "mariadb", "sshpass"}
