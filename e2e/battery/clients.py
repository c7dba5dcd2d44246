"""What programs do with the official client, of the version installed, against the embedded store.

    clients.py EMBEDDED-URL DOCUMENTS INDEX

DOCUMENTS is how many the store holds in INDEX. Every answer is compared with what is known of them or with another way
to ask; an assertion that fails is the exit status.
"""

import sys

import elasticsearch
import elasticsearch.helpers

PATTERN = "flow-*"
TOTAL_ORDER = [{"@timestamp": "asc"}, {"ipfix.flowId": "asc"}]


def greets(client):
    """The client checks that it talks to Elasticsearch before its first answer, by name and version."""
    info = client.info()
    assert info["tagline"] == "You Know, for Search", info
    assert int(info["version"]["number"].split(".")[0]) >= 8, info


def counts(client, documents, index):
    assert client.count(index=PATTERN)["count"] == documents
    found = client.search(index=PATTERN, size=0, track_total_hits=True)
    assert found["hits"]["total"] == {"value": documents, "relation": "eq"}, found["hits"]
    assert list(client.indices.get_mapping(index=PATTERN)) == [index]
    assert client.indices.exists(index=index)
    assert not client.indices.exists(index="flow-1999.01.01")
    (line,) = client.cat.indices(index=PATTERN, format="json")
    assert (line["index"], int(line["docs.count"])) == (index, documents), line
    assert [entry["name"] for entry in client.indices.resolve_index(name=PATTERN)["indices"]] == [index]
    fields = client.field_caps(index=PATTERN, fields="ipfix.source*")["fields"]
    assert fields["ipfix.sourceIP"]["ip"]["aggregatable"] is True, fields


def scans(client, documents):
    ids = {hit["_id"] for hit in elasticsearch.helpers.scan(client, index=PATTERN, size=700)}
    assert len(ids) == documents, len(ids)
    udp = {"term": {"ipfix.protocol": "UDP"}}
    hits = list(elasticsearch.helpers.scan(client, index=PATTERN, query={"query": udp}, size=300, preserve_order=True))
    assert {hit["_source"]["ipfix"]["protocol"] for hit in hits} == {"UDP"}
    assert len(hits) == client.count(index=PATTERN, query=udp)["count"]


def pages(client, documents):
    """A point in time, read to its end with `search_after`: how an export is written since 7.10."""
    pit = client.open_point_in_time(index=PATTERN, keep_alive="1m")["id"]
    seen, after = [], None
    while True:
        page = client.search(pit={"id": pit, "keep_alive": "1m"}, size=900, sort=TOTAL_ORDER, search_after=after)
        hits = page["hits"]["hits"]
        if not hits:
            break
        seen += [hit["_id"] for hit in hits]
        after, pit = hits[-1]["sort"], page.get("pit_id", pit)
    assert len(seen) == len(set(seen)) == documents, (len(seen), len(set(seen)))
    assert client.close_point_in_time(id=pit)["succeeded"] is True


def aggregates(client, documents):
    """A composite read page by page and terms give the same sums; `_msearch` as dashboards send it."""
    total = {"bytes": {"sum": {"field": "ipfix.octetDeltaCount"}}}
    by_node = {"terms": {"field": "ipfix.sourceNodeName.keyword", "size": 100}}
    answer = client.search(index=PATTERN, size=0, aggs={"nodes": {**by_node, "aggs": total}, **total})["aggregations"]
    assert sum(bucket["bytes"]["value"] for bucket in answer["nodes"]["buckets"]) == answer["bytes"]["value"]

    composite, sums = {"size": 3, "sources": [{"node": {"terms": {"field": "ipfix.sourceNodeName"}}}]}, {}
    while True:
        page = client.search(index=PATTERN, size=0, aggs={"a": {"composite": composite, "aggs": total}})["aggregations"]["a"]
        sums.update({bucket["key"]["node"]: bucket["bytes"]["value"] for bucket in page["buckets"]})
        if "after_key" not in page:
            break
        composite = {**composite, "after": page["after_key"]}
    assert sums == {bucket["key"]: bucket["bytes"]["value"] for bucket in answer["nodes"]["buckets"]}

    head = {"index": PATTERN, "ignore_unavailable": True, "search_type": "query_then_fetch"}
    over_time = {"date_histogram": {"field": "@timestamp", "fixed_interval": "1h", "min_doc_count": 0, "extended_bounds": {}, "format": "epoch_millis"}}
    grafana = {"size": 0, "query": {"bool": {"filter": [{"query_string": {"analyze_wildcard": True, "query": "ipfix.protocol:TCP"}}]}}, "aggs": {"2": {**over_time, "aggs": {"1": {"sum": {"field": "ipfix.bytes"}}}}}}
    answers = client.msearch(searches=[head, grafana, {"index": "flow-1999.01.01"}, {"size": 0}], max_concurrent_shard_requests=5)["responses"]
    buckets = answers[0]["aggregations"]["2"]["buckets"]
    assert sum(bucket["doc_count"] for bucket in buckets) == client.count(index=PATTERN, q="ipfix.protocol:TCP")["count"]
    assert all(bucket["key_as_string"] == str(bucket["key"]) for bucket in buckets), buckets[:2]
    assert (answers[1]["status"], answers[1]["error"]["type"]) == (404, "index_not_found_exception"), answers[1]


def refuses(client, index):
    for refused, status, kind in [
        (lambda: client.search(index="flow-1999.01.01"), 404, "index_not_found_exception"),
        (lambda: client.search(index=index, query={"nonsense": {}}), 400, "parsing_exception"),
        (lambda: client.search(index=index, aggs={"a": {"sum": {"script": "1"}}}), 400, "script_exception"),
    ]:
        try:
            raise AssertionError(f"answered: {refused()}")
        except elasticsearch.ApiError as error:
            assert (error.status_code, error.body["error"]["root_cause"][0]["type"]) == (status, kind), error.body


def main():
    url, documents, index = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    client = elasticsearch.Elasticsearch(url, request_timeout=60)
    greets(client)
    counts(client, documents, index)
    scans(client, documents)
    pages(client, documents)
    aggregates(client, documents)
    refuses(client, index)
    print(f"elasticsearch {elasticsearch.__versionstr__}: all {documents} documents")


if __name__ == "__main__":
    main()
