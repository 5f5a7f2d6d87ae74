"""What is stored and printed holds no secret: laws of the one redaction, and forms in which secrets come."""

import shlex
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from registry import redaction
from registry.redaction import HIDDEN, redacted, url, words

SECRET = "tiger-4711"

NAMES = st.from_regex(r"[a-z][a-z0-9_]{0,9}", fullmatch=True)
HOSTS = st.one_of(
    st.from_regex(r"[a-z][a-z0-9-]{0,8}[a-z0-9](\.[a-z]{2,5}){0,2}", fullmatch=True),
    st.sampled_from(["127.0.0.1", "[::1]"]),
)
PORTS = st.one_of(st.just(""), st.integers(1, 65535).map(lambda port: f":{port}"))
PATHS = st.from_regex(r"[A-Za-z0-9_.-]{1,9}(/[A-Za-z0-9_.-]{1,9}){0,2}", fullmatch=True)
# No host, path or key is likely to be in it.
SECRETS = st.text(st.characters(codec="utf-8"), min_size=1).map(lambda text: f"Q{text}Z")
# What a shell word may hold unquoted, and a URL without being encoded, in a password that is not.
RAW = st.text("abcXYZ019@:!$%^*()_-+~.,é/?#", min_size=1).map(lambda text: f"Q{text}Z")


@given(HOSTS, PORTS, PATHS, NAMES, SECRETS)
def test_a_password_in_a_databases_url_is_hidden_and_nothing_else(host, port, path, user, secret):
    rest = f"{host}{port}/{path}"
    for scheme in ("postgresql", "mysql+pymysql", "mongodb+srv", "other"):
        assert url(f"{scheme}://{user}:{quote(secret, safe='')}@{rest}") == f"{scheme}://{user}:{HIDDEN}@{rest}"


@given(HOSTS, PORTS, PATHS, NAMES, RAW)
def test_a_password_that_should_have_been_encoded_is_hidden(host, port, path, user, secret):
    shown = url(f"postgresql://{user}:{secret}@{host}{port}/{path}")
    assert shown == f"postgresql://{user}:{HIDDEN}@{host}{port}/{path}"
    assert secret not in redacted(f"cannot reach postgresql://{user}:{secret}@{host}{port}/{path}: no route")
    assert secret not in redacted(f"found {user}:{secret}@{host}{port}")


@given(HOSTS, PORTS, PATHS, NAMES, SECRETS, st.sampled_from(["password", "Pwd", "sslpassword", "access_token", "sig"]))
def test_a_password_in_a_query_is_hidden_and_nothing_else(host, port, path, user, secret, key):
    for scheme in ("postgresql", "https"):
        place = f"{scheme}://{host}{port}/{path}?user={user}&{key}="
        assert url(f"{place}{quote(secret, safe='')}&x=1") == f"{place}{HIDDEN}&x=1"


@given(HOSTS, PATHS, NAMES, SECRETS, st.sampled_from([";PWD={}", ";Password={};Encrypt=yes"]))
def test_a_password_in_an_odbc_string_is_hidden_and_nothing_else(host, path, user, secret, end):
    braced = "{" + secret.replace("}", "}}") + "}"
    string = f"DRIVER={{ODBC 18}};SERVER={host};DATABASE={path};UID={user}"
    shown = url(f"mssql+pyodbc:///?odbc_connect={quote_plus(string + end.format(braced))}")
    assert secret not in shown
    assert quote_plus(secret) not in shown
    for part in (host, path, user, "SERVER"):
        assert part in shown


@given(HOSTS, PORTS, PATHS, SECRETS)
def test_a_token_in_the_place_of_the_user_is_hidden_and_nothing_else(host, port, path, secret):
    token = quote(secret, safe="")
    for before in (token, f"{token}:x-oauth-basic", f"{token}:"):
        assert url(f"https://{before}@{host}{port}/{path}") == f"https://{HIDDEN}@{host}{port}/{path}"


@given(PATHS, SECRETS)
def test_the_path_of_a_webhook_is_hidden(path, secret):
    token = quote(secret, safe="")
    for place in ("hooks.slack.com/services", "discord.com/api/webhooks", "x.webhook.office.com/webhookb2"):
        assert url(f"https://{place}/{path}/{token}") == f"https://{place}/{HIDDEN}"


@given(SECRETS, NAMES)
def test_the_words_of_a_command_are_shown_without_secrets(secret, name):
    given_words = [
        *("curl", "-H", f"Authorization: Bearer {secret}", "-u", f"{name}:{secret}", "--password", secret),
        *(f"--token={secret}", f"API_KEY={secret}", f"https://{quote(secret, safe='')}@host/{name}", name),
    ]
    shown = words(given_words)
    assert shown == [
        *("curl", "-H", f"Authorization: {HIDDEN}", "-u", f"{name}:{HIDDEN}", "--password", HIDDEN),
        *(f"--token={HIDDEN}", f"API_KEY={HIDDEN}", f"https://{HIDDEN}@host/{name}", name),
    ]
    assert words(shown) == shown
    if len(secret) > 7:
        assert secret not in redaction.hidden(f"it said {secret}!", redaction.secrets(given_words))


@given(st.text())
@example("a://b:c@d, e://f:g@h?password='i j'; k")
def test_any_text_can_be_redacted_and_again(text):
    once = redacted(text)
    assert redacted(once) == once
    assert redacted(url(text)) == url(text)


PIECES = st.sampled_from(
    ["postgresql://", "https://", "x", "://", ":", "@", "/", "?", "#", "=", "&", ";", "'", '"', "{", "}", "\\", " "]
    + [
        "password",
        "PWD",
        "token",
        "Authorization: ",
        "Bearer ",
        "--password",
        "-u ",
        "***",
        "%3D",
        "%26",
        "%",
        "+",
        "\n",
    ]
)


@given(st.lists(PIECES, max_size=25).map("".join))
def test_any_text_of_such_pieces_can_be_redacted_and_again(text):
    once = redacted(text)
    assert redacted(once) == once
    assert redacted(url(text)) == url(text)
    redaction.secrets([text], {"X": text, "TOKEN": text})


PARTS = st.lists(st.sampled_from([*"abQ1:@/?#&=%.+- ", "password=", "host", "&token="]), max_size=12).map("".join)


@given(st.sampled_from(["postgresql://", "mysql+x://"]), PARTS, PARTS)
@example("postgresql://", "u:a/b@", "@h?password=d@e&x=1")
@example("postgresql://", "? &token= ", "@")
def test_no_password_is_left_of_what_sqlalchemy_reads_as_one(scheme, before, after):
    given_url = f"{scheme}{before}{SECRET}{after}"
    try:
        parsed = make_url(given_url)
    except (ArgumentError, ValueError):
        return
    read = [str(parsed.password or ""), str(parsed.query.get("password", "")), str(parsed.query.get("token", ""))]
    if SECRET in "".join(read):
        assert SECRET not in url(given_url)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        # URLs of databases, of the web, and what is between.
        ("http://ann:§@host:5000/path", "http://ann:***@host:5000/path"),
        ("postgresql+psycopg://ann:p@§/w@rd@host/db refused", "postgresql+psycopg://ann:***@host/db refused"),
        ("from http://ann:§@host to s3://:§@host", "from http://ann:***@host to s3://:***@host"),
        ("https://ann:pa/§@host/x", "https://ann:***@host/x"),
        ("sqlite+pysqlcipher://:§@/x.db?cipher=aes", "sqlite+pysqlcipher://:***@/x.db?cipher=aes"),
        ("sqlite:///file:/x.db?mode=ro&uri=true&key=§", "sqlite:///file:/x.db?mode=ro&uri=true&key=***"),
        ("git+https://ghp_§@github.com/o/r.git@main#egg=r", "git+https://***@github.com/o/r.git@main#egg=r"),
        ("https://oauth2:§@gitlab.com/o/r", "https://oauth2:***@gitlab.com/o/r"),
        ("databricks://token:§@h?http_path=/sql", "databricks://token:***@h?http_path=/sql"),
        ("jdbc:sqlserver://h;user=u;password=§;x=1", "jdbc:sqlserver://h;user=u;password=***;x=1"),
        ("https://h/k?X-Amz-Signature=§&X-Amz-Expires=3", "https://h/k?X-Amz-Signature=***&X-Amz-Expires=3"),
        ("https://h/f?code=§&sv=2&sig=§%3D&se=1", "https://h/f?code=***&sv=2&sig=***&se=1"),
        ("https://h/cb#access_token=§&state=3", "https://h/cb#access_token=***&state=3"),
        ("https://h/?next=https%3A%2F%2Fu%3AS%40g%2Fx", "https://h/?next=https://u:***@g/x"),
        ("https://api.telegram.org/bot123:§-x/send", "https://api.telegram.org/bot***/send"),
        ("postgresql:/ann:§@host/db", "postgresql:/ann:***@host/db"),
        ("postgresql://ann@host:§/db", "postgresql://ann@host:***/db"),
        ("ann:§@host:5432/db", "ann:***@host:5432/db"),
        # Connection strings.
        ("host=h user=u password='§ \\' §' dbname=d", "host=h user=u password='***' dbname=d"),
        ("DRIVER={x};SERVER=h;PWD={§;§};UID=u", "DRIVER={x};SERVER=h;PWD=***;UID=u"),
        ("DRIVER={x};SERVER=h;PWD=§ §;UID=u", "DRIVER={x};SERVER=h;PWD=***;UID=u"),
        ("AccountName=a;AccountKey=§==;EndpointSuffix=e", "AccountName=a;AccountKey=***;EndpointSuffix=e"),
        # Commands and what they print.
        ("AWS_SECRET_ACCESS_KEY=§ aws s3 ls", "AWS_SECRET_ACCESS_KEY=*** aws s3 ls"),
        ("curl -sH 'Authorization: Basic § §' https://h/x", "curl -sH 'Authorization: ***' https://h/x"),
        ("> Authorization: Bearer §\n> Host: h", "> Authorization: ***\n> Host: h"),
        ("curl -u ann:§ https://h", "curl -u ann:*** https://h"),
        ("tool --password § --host h", "tool --password *** --host h"),
        ("tool --api-key='§ §' --host h", "tool --api-key='***' --host h"),
        ("tool --from-literal=password=§ -token § x", "tool --from-literal=password=*** -token *** x"),
        ("password: § (of ann)", "password: *** (of ann)"),
        ("<password>§</password><host>h</host>", "<password>***</password><host>h</host>"),
        ("{'password': '§', 'host': 'h'}", "{'password': '***', 'host': 'h'}"),
        ('{"token": "§\\"§","b":1}', '{"token": "***","b":1}'),
        ('-d "{\\"token\\": \\"§\\"}"', '-d "{\\"token\\": \\"***\\"}"'),
        ("remote: ghp_4711abc is wrong", "remote: *** is wrong"),
    ],
)  # fmt: skip
def test_secrets_in_their_forms(text: str, shown: str):
    assert redacted(text.replace("§", SECRET)) == shown
    assert redacted(shown) == shown


@pytest.mark.parametrize(
    "text",
    [
        "models:/diabetes@champion",
        "sqlite:////home/a@b/mlflow.db",
        "postgresql://one:5432,two:5433/db",
        "http://localhost:5000)",
        "http://localhost:http",
        "http://127.0.0.1:5000/models/x@champion",
        "git@github.com:o/r.git@v1",
        "abfss://container@account.dfs.core.windows.net/path",
        "s3://bucket/key/part=1/token.parquet",
        "123.dkr.ecr.eu-central-1.amazonaws.com/name:tag@sha256:abc",
        "column 'token': expected double, found string",
        "--class-weight secretary=2,pass=1,bad=5",
        "estimator.tol=1e-3 C=0.3 max_iter=100",
        "--group household --time opened --id customer",
        "the password was not accepted; give --password",
        "WHERE passed = 1 AND key = 'a' AND tokens > 3",
    ],
)
def test_what_is_no_secret_stays(text: str):
    assert redacted(text) == text
    assert shlex.join(words(shlex.split(text.replace("'", "")))) or not text


@pytest.mark.parametrize(
    ("given_words", "shown"),
    [
        ("mysql -h h -p§", "mysql -h h -p***"),
        ("sshpass -p § ssh h -p 22", "sshpass -p *** ssh h -p ***"),
        ("docker login -u ann -p §", "docker login -u ann -p ***"),
        ("mkdir -p folder", "mkdir -p folder"),
        ("aws set aws_secret_access_key § --profile x", "aws set aws_secret_access_key *** --profile x"),
        ("train --data t.csv --target token --id a", "train --data t.csv --target token --id a"),
    ],
)  # fmt: skip
def test_words_in_their_forms(given_words: str, shown: str):
    assert words(given_words.replace("§", SECRET).split()) == shown.split()


def test_values_in_a_document_are_redacted_and_its_keys_are_not():
    document = {"https://u:p@h": ["postgresql://u:p@h/d", 3, None, {"password": "the column's name"}]}
    assert redaction.inside(document) == {
        "https://u:p@h": ["postgresql://u:***@h/d", 3, None, {"password": "the column's name"}]
    }


def test_known_secrets_are_found_however_a_library_spells_them():
    given_words = ["--data", "postgresql://u:ab%40cd%2Fefgh@h/d"]
    known = redaction.secrets(given_words, {"DEPLOY_KEY": "blue42", "HOME": "/root"})
    said = "could not resolve cd/efgh@h: ab@cd/efgh, ab%40cd%2Fefgh, blue42 and blue421 in /root"
    assert redaction.hidden(said, known) == "could not resolve ***@h: ***, ***, *** and blue421 in /root"
