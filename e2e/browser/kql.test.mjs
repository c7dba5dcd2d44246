// The typed query: what Kibana's query language says (its documentation's own examples over our fields), what is wrong
// and where, and what is offered while one types.
import { strict as assert } from "node:assert";
import { test } from "node:test";

import { search } from "./aggregate.mjs";
import { catalogue } from "./canned.mjs";
import { flows } from "./generate.mjs";
import { pageModules } from "./page-module.mjs";

const [{ compile }, { wantedAt, written }] = await pageModules("kql/query.ts", "kql/suggest.ts");
const { fields } = await catalogue();

const phrase = (field, value) => ({ match_phrase: { [field]: value } });
const match = (field, value) => ({ match: { [field]: value } });
const POD = "ipfix.sourcePodName.keyword";
const PROTOCOL = "ipfix.protocolIdentifier";
const either = (...should) => ({ bool: { should, minimum_should_match: 1 } });
const all = (...filter) => ({ bool: { filter } });
const not = (one) => ({ bool: { must_not: [one] } });

const MEANS = [
  ['ipfix.sourcePodName: "a" and not ipfix.protocolIdentifier: 6', all(phrase(POD, "a"), not(phrase(PROTOCOL, 6)))],
  ["sourcePodName: a", match(POD, "a")],
  ["ipfix.sourcePodName.keyword: a", match(POD, "a")],
  ["sourcePodName: cart one", match(POD, "cart one")],
  ["sourcePodName: (a or b)", either(match(POD, "a"), match(POD, "b"))],
  ['sourcePodName: ("a" and not (b or c))', all(phrase(POD, "a"), not(either(match(POD, "b"), match(POD, "c"))))],
  ["sourcePodName: *", { exists: { field: "ipfix.sourcePodName" } }],
  ["sourcePodName: cart-*", { wildcard: { [POD]: { value: "cart-*" } } }],
  ["sourcePodName: *a?b*", { wildcard: { [POD]: { value: "*a\\?b*" } } }],
  ["sourcePodName: a\\*b", match(POD, "a*b")],
  ['sourcePodName: "a*b"', phrase(POD, "a*b")],
  ['sourcePodName: "say \\"hi\\" \\\\ \\t"', phrase(POD, 'say "hi" \\ \t')],
  ["sourcePodName: \\and", match(POD, "and")],
  ["sourcePodName: nothing", match(POD, "nothing")],
  ["protocolIdentifier: (6 or 17)", either(phrase(PROTOCOL, 6), phrase(PROTOCOL, 17))],
  ["octetDeltaCount >= 1e6 AND octetDeltaCount<2000000", all({ range: { "ipfix.octetDeltaCount": { gte: 1e6 } } }, { range: { "ipfix.octetDeltaCount": { lt: 2e6 } } })],
  ["octetDeltaCount: 18446744073709551615", match("ipfix.octetDeltaCount", "18446744073709551615")],
  ["@timestamp >= now-5m", { range: { "@timestamp": { gte: "now-5m" } } }],
  ['@timestamp < "2026-11-22T20:00:00Z"', { range: { "@timestamp": { lt: "2026-11-22T20:00:00Z" } } }],
  ["sourceIP: 10.10.0.0/16", match("ipfix.sourceIP", "10.10.0.0/16")],
  ['sourceIP: "fd00::1"', phrase("ipfix.sourceIP.keyword", "fd00::1")],
  ["sourceIP: 10.10.*", { wildcard: { "ipfix.sourceIP.keyword": { value: "10.10.*" } } }],
  // Precedence: not, and, or.
  ["a or b and not c", either(word("a"), all(word("b"), not(word("c"))))],
  ["(a or b) and c", all(either(word("a"), word("b")), word("c"))],
  ["not not a", not(not(word("a")))],
  ["two words", word("two words")],
  ['"two words"', { multi_match: { type: "phrase", query: "two words", lenient: true } }],
  ["ca*t-(1)".replace(/[()]/g, "\\$&"), { query_string: { query: "ca*t\\-\\(1\\)" } }],
  ["*", { match_all: {} }],
  ["", null],
  ["   ", null],
  ["*PodName: a", either(match("ipfix.destinationPodName.keyword", "a"), match(POD, "a"))],
  ["sourcePodName: <img src=x onerror=alert(1)>".replace(/[<>()]/g, "\\$&"), match(POD, "<img src=x onerror=alert(1)>")],
];

function word(text) {
  return { multi_match: { type: "best_fields", query: text, lenient: true } };
}

test("a query means what Kibana's language says", () => {
  for (const [text, wanted] of MEANS) {
    const { query, error } = compile(text, fields);
    assert.equal(error, null, `${text}: ${error?.message}`);
    assert.deepEqual(sorted(query), sorted(wanted), text);
  }
});

// The order of alternatives is not meant.
function sorted(value) {
  if (Array.isArray(value)) return value.map(sorted).sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1));
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, sorted(one)]));
}

// The wrong part stands between « and »; nothing between them is the place where something is missing.
const WRONG = [
  ["sourcePodName: «»", /Expected a value after “:”/],
  ["sourcePodName: a and «»", /Expected a field or a word here, at the end/],
  ["sourcePodName: a and «or» b", /Expected a field or a word here/],
  ["«(»sourcePodName: a", /not closed/],
  ["sourcePodName: a«)»", /no “\(” that this closes/],
  ["sourcePodName: (a or «)»", /Expected a value here/],
  ["sourcePodName: «(»a or b", /not closed/],
  ['sourcePodName: «"»abc', /no second one/],
  ['"a" «"b"»', /Write “and” or “or” before this/],
  ['sourcePodName: ("a" «"b"»)', /“and”, “or” or “\)”/],
  ["sourceIP: fd00«:»:1", /needs quotation marks/],
  ["sourcePodName: «{» a: b }", /no nested fields/],
  ["octetDeltaCount: «abc»", /ipfix.octetDeltaCount holds numbers, which “abc” is not/],
  ["octetDeltaCount > «»", /Expected a value after “>”/],
  ["octetDeltaCount > «1*»", /without \*/],
  ["octetDeltaCount: «1*»", /no wildcard but/],
  ["sourceIP: «cart»", /addresses/],
  ["«nothing*Here»: a", /No field has such a name/],
  [": a".replace(":", "«:»"), /Expected a field or a word here/],
  [`${"(".repeat(51)}«(»a`, /More than 50 parentheses/],
];

test("what is wrong is said, with its place", () => {
  for (const [marked, wanted] of WRONG) {
    const from = marked.indexOf("«");
    const to = marked.indexOf("»") - 1;
    const { query, error } = compile(marked.replace(/[«»]/g, ""), fields);
    assert.equal(query, null, marked);
    assert.match(error.message, wanted);
    if (!marked.startsWith("(((")) assert.deepEqual([error.from, error.to], [from, to], marked);
  }
});

test("a field that is not listed is asked for, and said to be odd", () => {
  const { query, notes } = compile("a and applianceName: x", fields);
  assert.deepEqual(query, all(word("a"), match("applianceName", "x")));
  assert.deepEqual(notes.map(({ from, to }) => [from, to]), [[6, 19]]);
});

test("any text is either a query or an error within the text", () => {
  const pieces = ["a", "*", "\\", '"', "(", ")", ":", "<", ">=", "and", "or", "not", " ", "{", "}", "6", "sourcePodName", "octetDeltaCount", "‮", "\u0000", "ipfix.*"];
  let seed = 1;
  const next = () => (seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0) / 2 ** 32;
  for (let round = 0; round < 20_000; round += 1) {
    const text = Array.from({ length: 1 + Math.floor(next() * 12) }, () => pieces[Math.floor(next() * pieces.length)]).join(next() < 0.5 ? " " : "");
    const { query, error } = compile(text, fields);
    if (error !== null) assert(0 <= error.from && error.from <= error.to && error.to <= text.length, `${text}: ${error.from}-${error.to}`);
    else assert(query === null ? text.trim() === "" : typeof query === "object", text);
    const wanted = wantedAt(text, text.length);
    assert(wanted.from <= wanted.to && wanted.to === text.length, text);
  }
});

test("queries choose the flows that they describe", () => {
  const documents = flows({ pods: 12, pairs: 40 });
  const count = (text) => search(documents, { size: 0, query: compile(text, fields).query }).hits.total.value;
  const pod = documents.find((one) => one["ipfix.sourcePodName"])["ipfix.sourcePodName"];
  const own = documents.filter((one) => one["ipfix.sourcePodName"] === pod);
  assert(own.length > 0);
  for (const [text, wanted] of [
    [`sourcePodName: "${pod}"`, own],
    [`not sourcePodName: "${pod}"`, documents.filter((one) => !own.includes(one))],
    [`sourcePodName: ${pod.slice(0, 4)}*`, documents.filter((one) => one["ipfix.sourcePodName"]?.startsWith(pod.slice(0, 4)))],
    ["sourcePodNamespace: (shop or web) and octetDeltaCount > 100000", documents.filter((one) => ["shop", "web"].includes(one["ipfix.sourcePodNamespace"]) && one["ipfix.octetDeltaCount"] > 100_000)],
    [pod, documents.filter((one) => Object.values(one).includes(pod))],
    ["destinationServicePortName: *", documents.filter((one) => one["ipfix.destinationServicePortName"] !== undefined)],
  ]) {
    assert.equal(count(text), wanted.length, text);
  }
});

test("what is offered fits what stands before the cursor", () => {
  // The cursor is at |.
  for (const [marked, what, field, begun] of [
    ["|", "field", null, ""],
    ["sou|", "field", null, "sou"],
    ["sourcePodName |", "operator", "sourcePodName", ""],
    ["sourcePodName:|", "value", "sourcePodName", ""],
    ["sourcePodName: ca|", "value", "sourcePodName", "ca"],
    ['sourcePodName: "ca|', "value", "sourcePodName", "ca"],
    ['sourcePodName: "ca" |', "join", "sourcePodName", ""],
    ["sourcePodName: (a or |", "value", "sourcePodName", ""],
    ["sourcePodName: (a or b) and dest|", "field", null, "dest"],
    ["(sourcePodName: a or |", "field", null, ""],
    ["octetDeltaCount >= |", "value", "octetDeltaCount", ""],
    ["not |", "field", null, ""],
    ["a: b and protocol|: 6", "field", null, "protocol"],
  ]) {
    const cursor = marked.indexOf("|");
    const wanted = wantedAt(marked.replace("|", ""), cursor);
    assert.deepEqual([wanted.what, wanted.what === "field" ? null : wanted.field, wanted.begun], [what, field, begun], marked);
  }
});

test("a value that is offered is read back as itself", () => {
  for (const value of ["a", 'say "hi"', "back\\slash", "and", "*", "a:b", "<b>", "‮", 6, true]) {
    const { query, error } = compile(`x: ${written(value)}`, []);
    assert.equal(error, null);
    assert.deepEqual(Object.values(Object.values(query)[0])[0], typeof value === "string" ? value : String(value));
  }
});
