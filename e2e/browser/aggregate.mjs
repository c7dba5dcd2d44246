// A small evaluator of Elasticsearch aggregations over documents in memory: enough for the dashboards' own
// requests, for tests at sizes and with names that real traffic does not give. The real stores' answers are
// compared elsewhere; here only pictures are of interest.

/** The answer to a search body. `documents`: {time: ms, …fields by full name}. */
export function search(documents, body) {
  const chosen = body.query ? documents.filter((one) => matches(one, body.query)) : documents;
  const answer = { hits: { total: { value: chosen.length, relation: "eq" }, hits: [] } };
  if (body.size !== 0) {
    const newest = [...chosen].sort((a, b) => b["@timestamp"] - a["@timestamp"]);
    answer.hits.hits = newest.slice(0, body.size ?? 10).map((one, at) => ({
      _id: String(at),
      _index: "flow-2026.01.01",
      _source: source(one),
    }));
  }
  if (body.aggs) answer.aggregations = aggregate(chosen, body.aggs, documents);
  return answer;
}

function source(document) {
  const made = { ipfix: {} };
  for (const [name, value] of Object.entries(document)) {
    if (name === "@timestamp") made[name] = new Date(value).toISOString();
    else if (name.startsWith("ipfix.")) made.ipfix[name.slice(6)] = value;
    else made[name] = value;
  }
  return made;
}

function value(document, field) {
  return document[field] ?? document[field.replace(/\.keyword$/, "")];
}

function matches(document, query) {
  const [kind, inner] = Object.entries(query)[0];
  const list = (one) => (one === undefined ? [] : Array.isArray(one) ? one : [one]);
  switch (kind) {
    case "bool":
      return (
        [...list(inner.must), ...list(inner.filter)].every((one) => matches(document, one)) &&
        !list(inner.must_not).some((one) => matches(document, one)) &&
        (list(inner.should).length === 0 || list(inner.should).some((one) => matches(document, one)))
      );
    case "match_all":
      return true;
    case "exists":
      return value(document, inner.field) !== undefined;
    case "match_none":
      return false;
    case "wildcard": {
      const [field, { value: pattern }] = Object.entries(inner)[0];
      const text = pattern.replace(/\\(.)|[.+^${}()|[\]*?]/g, (all, escaped) => (escaped ? `\\${escaped}` : { "*": ".*", "?": "." }[all] ?? `\\${all}`));
      return new RegExp(`^${text}$`, "s").test(String(value(document, field) ?? ""));
    }
    case "multi_match":
      return Object.values(document).some((one) => String(one) === inner.query);
    case "match":
    case "term":
    case "match_phrase": {
      const [field, wanted] = Object.entries(inner)[0];
      return value(document, field) === (wanted?.value ?? wanted?.query ?? wanted);
    }
    case "terms": {
      const [field, wanted] = Object.entries(inner)[0];
      return wanted.includes(value(document, field));
    }
    case "prefix": {
      const [field, wanted] = Object.entries(inner)[0];
      return String(value(document, field) ?? "").startsWith(wanted.value ?? wanted);
    }
    case "range": {
      const [field, range] = Object.entries(inner)[0];
      const at = value(document, field);
      return !(range.gte > at || range.gt >= at || range.lte < at || range.lt <= at || at === undefined);
    }
    default:
      throw new Error(`no query ${kind}`);
  }
}

function aggregate(documents, aggregations, everything) {
  return Object.fromEntries(Object.entries(aggregations).map(([name, one]) => [name, single(documents, one, everything)]));
}

function single(documents, aggregation, everything) {
  const { aggs, meta, ...rest } = aggregation;
  const [kind, of] = Object.entries(rest)[0];
  const below = (inside) => ({ doc_count: inside.length, ...(aggs ? aggregate(inside, aggs, everything) : {}) });
  const numbers = () => documents.map((one) => value(one, of.field)).filter((one) => one !== undefined);
  switch (kind) {
    case "sum":
      return { value: numbers().reduce((sum, one) => sum + one, 0) };
    case "max":
      return { value: numbers().reduce((most, one) => Math.max(most, one), -Infinity) || null };
    case "min":
      return { value: numbers().reduce((least, one) => Math.min(least, one), Infinity) };
    case "value_count":
      return { value: numbers().length };
    case "cardinality":
      return { value: new Set(numbers()).size };
    case "global":
      return below(everything);
    case "filter":
      return below(documents.filter((one) => matches(one, of)));
    case "filters":
      return {
        buckets: Object.fromEntries(
          Object.entries(of.filters).map(([key, query]) => [key, below(documents.filter((one) => matches(one, query)))]),
        ),
      };
    case "missing":
      return below(documents.filter((one) => value(one, of.field) === undefined));
    case "terms": {
      const groups = groupBy(documents, (one) => value(one, of.field) ?? of.missing);
      groups.delete(undefined);
      let buckets = [...groups].map(([key, inside]) => ({ key, ...below(inside) }));
      const [by, way] = Object.entries(of.order ?? { _count: "desc" })[0];
      const measure = (bucket) => (by === "_key" ? bucket.key : by === "_count" ? bucket.doc_count : bucket[by].value);
      buckets.sort((a, b) => (measure(a) < measure(b) ? 1 : measure(a) > measure(b) ? -1 : 0) * (way === "desc" ? 1 : -1));
      const kept = buckets.slice(0, of.size ?? 10);
      const left = buckets.slice(of.size ?? 10).reduce((sum, one) => sum + one.doc_count, 0);
      return { buckets: kept, sum_other_doc_count: left, doc_count_error_upper_bound: 0 };
    }
    case "date_histogram": {
      const text = of.fixed_interval ?? of.calendar_interval;
      const width = Number.parseInt(text) * { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }[text.at(-1)];
      const groups = groupBy(documents, (one) => Math.floor(one[of.field] / width) * width);
      const bounds = of.extended_bounds;
      if (bounds) {
        for (let key = Math.floor(bounds.min / width) * width; key <= bounds.max; key += width) {
          if (!groups.has(key)) groups.set(key, []);
        }
      }
      const keys = [...groups.keys()].sort((a, b) => a - b);
      return { buckets: keys.map((key) => ({ key, key_as_string: new Date(key).toISOString(), ...below(groups.get(key)) })) };
    }
    default:
      throw new Error(`no aggregation ${kind}`);
  }
}

function groupBy(list, key) {
  const groups = new Map();
  for (const one of list) {
    const of = key(one);
    const group = groups.get(of);
    if (group) group.push(one);
    else groups.set(of, [one]);
  }
  return groups;
}
