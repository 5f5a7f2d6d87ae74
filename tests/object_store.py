"""A real object store that speaks S3: OpenStack Swift, its four servers in one process on the loopback interface.

A program of its own (``python tests/object_store.py FOLDER ACCESS SECRET``), since Swift's event loop changes the
standard library under it. It prints its port on one line when it answers. Requests are signed (AWS signature 4), and a
wrong key is refused. Swift keeps an object's description in the file system's extended attributes.
"""

import eventlet

eventlet.monkey_patch()

import argparse  # noqa: E402
import logging  # noqa: E402
from pathlib import Path  # noqa: E402

import eventlet.wsgi  # noqa: E402
from swift.common import storage_policy, utils  # noqa: E402
from swift.common.ring import RingBuilder  # noqa: E402
from swift.common.utils import logs  # noqa: E402
from swift.common.wsgi import SwiftHttpProtocol, loadapp  # noqa: E402

HOST = "127.0.0.1"
STORAGE = ("account", "container", "object")

SWIFT = """
[swift-hash]
swift_hash_path_suffix = suffix
[storage-policy:0]
name = only
default = yes
"""

# https://docs.openstack.org/swift/latest/development_saio.html, less what one disk does not need.
PROXY = """
[DEFAULT]
swift_dir = {folder}
[pipeline:main]
pipeline = catch_errors gatekeeper healthcheck listing_formats s3api tempauth copy slo dlo proxy-server
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
[filter:catch_errors]
use = egg:swift#catch_errors
[filter:gatekeeper]
use = egg:swift#gatekeeper
[filter:healthcheck]
use = egg:swift#healthcheck
[filter:listing_formats]
use = egg:swift#listing_formats
[filter:s3api]
use = egg:swift#s3api
location = us-east-1
[filter:tempauth]
use = egg:swift#tempauth
user_{account}_{user} = {secret} .admin
[filter:copy]
use = egg:swift#copy
[filter:slo]
use = egg:swift#slo
[filter:dlo]
use = egg:swift#dlo
"""

SERVER = """
[DEFAULT]
swift_dir = {folder}
devices = {folder}/devices
mount_check = false
disable_fallocate = true
fallocate_reserve = 0
[app:main]
use = egg:swift#{server}
"""


def serve(folder: Path, *, access: str, secret: str) -> None:
    """Serve S3 from a folder until the process ends; the access key has Swift's form, ``account:user``."""
    # Without a syslog daemon Swift would send its log to a UDP port; what goes wrong belongs to standard error.
    logs.ThreadSafeSysLogHandler = lambda *args, **kwargs: logging.StreamHandler()
    (folder / "devices" / "disk").mkdir(parents=True)
    (folder / "swift.conf").write_text(SWIFT)
    utils.set_swift_dir(str(folder))
    storage_policy.reload_storage_policies()
    for server in STORAGE:
        socket = eventlet.listen((HOST, 0))
        builder = RingBuilder(1, 1, 0)  # two parts, one copy, no wait between moves
        device = {"id": 0, "region": 1, "zone": 1, "weight": 1, "ip": HOST, "device": "disk"}
        builder.add_dev(device | {"port": socket.getsockname()[1]})
        builder.rebalance()
        builder.get_ring().save(str(folder / f"{server}.ring.gz"))
        conf = folder / f"{server}.conf"
        conf.write_text(SERVER.format(folder=folder, server=server))
        start(socket, conf)
    account, user = access.split(":")
    conf = folder / "proxy.conf"
    conf.write_text(PROXY.format(folder=folder, account=account, user=user, secret=secret))
    socket = eventlet.listen((HOST, 0))
    thread = start(socket, conf)
    print(socket.getsockname()[1], flush=True)
    thread.wait()


def start(socket, conf: Path) -> "eventlet.greenthread.GreenThread":
    """Serve the application that a configuration file describes, in a green thread."""
    app = loadapp(str(conf), global_conf={"log_level": "ERROR"})
    log = logging.getLogger("access")
    return eventlet.spawn(eventlet.wsgi.server, socket, app, log, protocol=SwiftHttpProtocol, log_output=False)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("access")
    parser.add_argument("secret")
    given = parser.parse_args()
    serve(given.folder.resolve(), access=given.access, secret=given.secret)
