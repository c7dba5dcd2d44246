#!/usr/bin/env python3
"""The embedded store beside DuckDB, SQLite and a real Elasticsearch: the same flows of one day, the same questions, in one run.

engines.py [--flows N] [--server NAME]

Every answer is compared with that of the embedded store before its time counts. SQLite and DuckDB answer in SQL inside this
program, the others over HTTP. A time is the best of three: data in memory, no kept answers (each asks a little later span).
Prints a table in Markdown. Needs a release build: `make bench` makes one.
"""

import argparse
import contextlib
import json
import math
import os
import pathlib
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.request

from compare import ROOT, TARGET, answers, free_port, until

DUCKDB = "duckdb==1.5.6"
MINUTE, DAY = 60_000, 86_400_000
FIRST = 1_795_305_600_000  # of the flows: 2026-11-22T00:00:00Z
BATCH = 10_000

# Columns of the SQL engines: what the questions need and what identifies a flow; the document as a whole stands beside them.
COLUMNS = {
    "t": ("BIGINT", None),
    "id": ("TEXT", None),
    "podPair": ("TEXT", "podPair"),
    "servicePair": ("TEXT", "servicePair"),
    "nodePair": ("TEXT", "nodePair"),
    "sourceName": ("TEXT", "sourceName"),
    "flowId": ("BIGINT", "flowId"),
    "octets": ("BIGINT", "octetDeltaCount"),
    "bytes": ("BIGINT", "bytes"),
    "source": ("TEXT", None),
}


def summed(field, of, size=50):
    return {"t": {"terms": {"field": f"ipfix.{field}", "size": size, "order": {"b": "desc"}}, "aggs": {"b": {"sum": {"field": f"ipfix.{of}"}}}}}


def pairs(answer):
    return sorted((round(bucket["b"]["value"]) for bucket in answer["aggregations"]["t"]["buckets"]), reverse=True)


def top(column, of, size=50):
    return f"SELECT sum({of}) AS b FROM flows WHERE t >= ? AND t < ? AND {column} IS NOT NULL GROUP BY {column} ORDER BY b DESC LIMIT {size}"


def first_column(rows):
    return [row[0] for row in rows]


# Name, the request's part beside the query, what of the answer is compared; SQL, what of its rows is.
QUESTIONS = [
    ("the 50 biggest Pod pairs", {"size": 0, "aggs": summed("podPair.keyword", "octetDeltaCount")}, pairs, top("podPair", "octets"), first_column),
    ("the 50 biggest Service pairs", {"size": 0, "aggs": summed("servicePair.keyword", "octetDeltaCount")}, pairs, top("servicePair", "octets"), first_column),
    ("Node pairs", {"size": 0, "aggs": summed("nodePair.keyword", "bytes")}, pairs, top("nodePair", "bytes"), first_column),
    (
        "records over time",
        {"size": 0, "aggs": {"h": {"date_histogram": {"field": "@timestamp", "fixed_interval": "10m", "min_doc_count": 1}}}},
        lambda answer: [bucket["doc_count"] for bucket in answer["aggregations"]["h"]["buckets"]],
        "SELECT count(*) FROM flows WHERE t >= ? AND t < ? GROUP BY t / 600000 ORDER BY min(t)",
        first_column,
    ),
    (
        "the 10 biggest sources over time",
        {"size": 0, "aggs": {"t": {**summed("sourceName.keyword", "octetDeltaCount", 10)["t"], "aggs": {
            "b": {"sum": {"field": "ipfix.octetDeltaCount"}},
            "h": {"date_histogram": {"field": "@timestamp", "fixed_interval": "10m", "min_doc_count": 1}, "aggs": {"b": {"sum": {"field": "ipfix.octetDeltaCount"}}}},
        }}}},
        lambda answer: sorted(round(bin["b"]["value"]) for bucket in answer["aggregations"]["t"]["buckets"] for bin in bucket["h"]["buckets"]),
        "WITH biggest AS (SELECT sourceName FROM flows WHERE t >= ?1 AND t < ?2 GROUP BY sourceName ORDER BY sum(octets) DESC LIMIT 10) "
        "SELECT sum(octets) AS b FROM flows WHERE t >= ?1 AND t < ?2 AND sourceName IN (SELECT sourceName FROM biggest) GROUP BY sourceName, t / 600000 ORDER BY b",
        first_column,
    ),
    (
        "distinct flows",
        {"size": 0, "aggs": {"n": {"cardinality": {"field": "ipfix.flowId", "precision_threshold": 40_000}}}},
        lambda answer: [answer["aggregations"]["n"]["value"]],
        "SELECT count(DISTINCT flowId) FROM flows WHERE t >= ? AND t < ?",
        first_column,
    ),
    (
        "the newest 500 records",
        {"size": 500, "sort": [{"@timestamp": "desc"}]},
        lambda answer: sorted(hit["_source"]["ipfix"]["flowId"] for hit in answer["hits"]["hits"]),
        "SELECT source FROM flows WHERE t >= ? AND t < ? ORDER BY t DESC LIMIT 500",
        lambda rows: sorted(json.loads(row[0])["ipfix"]["flowId"] for row in rows),
    ),
]


def milliseconds(text):
    """Of 2026-11-22T20:00:00.000Z."""
    clock = text[11:23]
    hours, minutes, seconds = clock.split(":")
    return FIRST + (int(text[8:10]) - 22) * DAY + int(hours) * 3_600_000 + int(minutes) * MINUTE + round(float(seconds) * 1000)


def documents(flows):
    with subprocess.Popen([TARGET / "examples" / "flows", "print", str(flows)], stdout=subprocess.PIPE) as printing:
        yield from printing.stdout


def rows(flows):
    for line in documents(flows):
        document = json.loads(line)
        ipfix = document["_source"]["ipfix"]
        known = {"t": milliseconds(document["_source"]["@timestamp"]), "id": document["_id"], "source": json.dumps(document["_source"], separators=(",", ":"))}
        yield [known[name] if field is None else ipfix.get(field) for name, (_, field) in COLUMNS.items()]


def batches(items, size=BATCH):
    batch = []
    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


class Http:
    """Something that answers `_search`."""

    def __init__(self, url):
        self.url = url

    def call(self, method, path, body=None, kind="application/json"):
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}{path}", data, {"Content-Type": kind}, method=method)
        with urllib.request.urlopen(request, timeout=600) as answer:
            return json.load(answer)

    def ask(self, question, begin, end):
        _, request, compared, _, _ = question
        query = {"bool": {"filter": [{"range": {"@timestamp": {"gte": begin, "lt": end, "format": "epoch_millis"}}}]}}
        return compared(self.call("POST", "/flow-*/_search", {"query": query, **request}))


class Sql:
    """Something inside this program that answers SQL."""

    def __init__(self, execute):
        self.execute = execute

    def ask(self, question, begin, end):
        _, _, _, sql, compared = question
        return compared(self.execute(sql, (begin, end)))


@contextlib.contextmanager
def embedded(folder, flows):
    port = free_port(socket.SOCK_STREAM)
    serving = subprocess.Popen([TARGET / "examples" / "flows", "serve", str(port), str(flows)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        said = serving.stdout.readline().split()  # … octets, loaded in … s
        yield Http(f"http://127.0.0.1:{port}/es"), int(said[0]), float(said[-2])
    finally:
        serving.stdin.close()
        serving.wait()


@contextlib.contextmanager
def duckdb_engine(folder, flows):
    import duckdb

    path = folder / "flows.duckdb"
    database = duckdb.connect(str(path))
    columns = ", ".join(f'"{name}" {kind}' for name, (kind, _) in COLUMNS.items())
    database.execute("SET threads = 2")
    database.execute(f"CREATE TABLE flows ({columns})")
    table, taken = folder / "batch.json", 0.0
    for batch in batches(rows(flows), 100_000):
        table.write_text("\n".join(json.dumps(dict(zip(COLUMNS, row))) for row in batch))
        begun = time.monotonic()
        kinds = ", ".join(f"'{name}': '{kind}'" for name, (kind, _) in COLUMNS.items())
        database.execute(f"INSERT INTO flows SELECT * FROM read_json('{table}', format = 'newline_delimited', columns = {{{kinds}}})")
        taken += time.monotonic() - begun
    begun = time.monotonic()
    database.execute("CHECKPOINT")
    taken += time.monotonic() - begun
    yield Sql(lambda sql, times: database.execute(sql.replace("t / 600000", "t // 600000").replace("?1", "$1").replace("?2", "$2"), list(times)).fetchall()), path.stat().st_size, taken
    database.close()


@contextlib.contextmanager
def sqlite_engine(folder, flows):
    path = folder / "flows.sqlite"
    database = sqlite3.connect(path)
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("CREATE TABLE flows (" + ", ".join(f'"{name}" {kind}' for name, (kind, _) in COLUMNS.items()) + ")")
    database.execute("CREATE INDEX by_time ON flows (t)")
    taken = 0.0
    for batch in batches(rows(flows)):
        begun = time.monotonic()
        database.executemany(f"INSERT INTO flows VALUES ({', '.join('?' * len(COLUMNS))})", batch)
        database.commit()
        taken += time.monotonic() - begun
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    yield Sql(lambda sql, times: database.execute(sql, times).fetchall()), path.stat().st_size, taken
    database.close()


def server(name):
    @contextlib.contextmanager
    def engine(folder, flows, mapping):
        port = free_port(socket.SOCK_STREAM)
        running = subprocess.Popen([ROOT / "e2e" / "servers" / "run.sh", name, str(port)], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        try:
            http = Http(f"http://127.0.0.1:{port}")
            until(lambda: answers(lambda: http.call("GET", "/")))
            index, described = next(iter(mapping.items()))
            http.call("PUT", f"/{index}", {"settings": {"number_of_shards": 1, "number_of_replicas": 0, "refresh_interval": "-1"}, **described})
            taken = 0.0
            for batch in batches(documents(flows), 2_000):
                lines = []
                for line in batch:
                    document = json.loads(line)
                    lines.append(json.dumps({"create": {"_index": index, "_id": document["_id"]}}))
                    lines.append(json.dumps(document["_source"]))
                body = ("\n".join(lines) + "\n").encode()
                begun = time.monotonic()
                answer = http.call("POST", "/_bulk?filter_path=errors", body, "application/x-ndjson")
                taken += time.monotonic() - begun
                if answer["errors"]:
                    sys.exit(f"{name} refused documents")
            begun = time.monotonic()
            http.call("POST", f"/{index}/_refresh")
            taken += time.monotonic() - begun
            http.call("POST", f"/{index}/_forcemerge?max_num_segments=1")
            size = http.call("GET", f"/{index}/_stats/store")["_all"]["primaries"]["store"]["size_in_bytes"]
            yield http, size, taken
        finally:
            running.stdin.close()
            running.wait()

    return engine


def timed(engine, question):
    """The best of three, over all of the day but a few minutes, and what it said the first time."""
    said, best = None, math.inf
    for turn in range(3):
        begun = time.monotonic()
        answer = engine.ask(question, FIRST + turn * MINUTE, FIRST + DAY)
        best = min(best, time.monotonic() - begun)
        said = answer if said is None else said
    return said, best


def differs(name, ours, theirs):
    """The count of distinct values is an estimate on some engines."""
    if name == "distinct flows":
        return abs(ours[0] - theirs[0]) > 0.03 * theirs[0]
    return ours != theirs


def ready():
    """Runs again inside an environment that has the wheel, made once in the cache."""
    home = pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache")) / "podflow" / f"python-{DUCKDB.replace('==', '-')}"
    if not (home / "ready").exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", home], check=True)
        subprocess.run([home / "bin" / "pip", "install", "--quiet", "--disable-pip-version-check", DUCKDB], check=True)
        (home / "ready").touch()
    if pathlib.Path(sys.prefix) != home:
        os.execv(home / "bin" / "python", [home / "bin" / "python", *sys.argv])


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--flows", type=int, default=1_000_000)
    arguments.add_argument("--server", default="elasticsearch-9.4.3", help="a name that e2e/servers/run.sh knows")
    given = arguments.parse_args()
    ready()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="podflow-bench-"))
    columns, expected, mapping = [], {}, {}
    try:
        for name, engine in [("embedded store", embedded), ("DuckDB", duckdb_engine), ("SQLite", sqlite_engine), (given.server, server(given.server))]:
            more = [mapping] if name == given.server else []
            with engine(folder, given.flows, *more) as (asked, octets, taken):
                if not mapping:
                    mapping = asked.call("GET", "/flow-2026.11.22/_mapping")
                column = {"octets a flow": f"{octets / given.flows:.1f}", "loading, documents a second": f"{given.flows / taken:,.0f}"}
                for question in QUESTIONS:
                    said, seconds = timed(asked, question)
                    if question[0] in expected and differs(question[0], expected[question[0]], said):
                        sys.exit(f"{name} says otherwise of {question[0]}: {said[:5]}, the embedded store {expected[question[0]][:5]}")
                    expected.setdefault(question[0], said)
                    column[question[0]] = f"{seconds * 1000:,.1f} ms"
                    print(f"  {name}: {question[0]}: {column[question[0]]}", flush=True)
                columns.append((name, column))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(f"\n| {given.flows:,} flows | " + " | ".join(name for name, _ in columns) + " |\n|" + "---|" * (len(columns) + 1))
    for row in columns[0][1]:
        print(f"| {row} | " + " | ".join(column[row] for _, column in columns) + " |")


if __name__ == "__main__":
    main()
