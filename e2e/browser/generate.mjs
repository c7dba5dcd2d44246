// Generated flow documents for pictures and for sizes that a test machine has no traffic for.

/** A repeatable source of numbers between 0 and 1. */
export function random(seed) {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 4294967296;
  };
}

const NAMESPACES = ["shop", "payments", "monitoring", "kube-system", "web"];
const WORDS = ["cart", "checkout", "catalog", "ledger", "prometheus", "grafana", "coredns", "frontend", "search", "queue"];

/** Documents of `pods` Pods over `minutes` minutes up to `now`, one record a pair and `every` seconds. */
export function flows({ pods = 24, pairs = 60, minutes = 30, every = 10, now = Date.now(), seed = 7, names = [] } = {}) {
  const next = random(seed);
  const pick = (list) => list[Math.floor(next() * list.length)];
  const hex = () => Math.floor(next() * 0xfffff).toString(36).padStart(4, "0");
  const all = Array.from({ length: pods }, (_, at) => {
    const namespace = NAMESPACES[at % NAMESPACES.length];
    const name = names[at] ?? `${WORDS[at % WORDS.length]}-${hex()}-${hex().slice(0, 5)}`;
    return { namespace, name, full: `${namespace}/${name}`, node: `node-${"abcd"[at % 4]}`, ip: `10.10.${at % 4}.${(at >> 2) % 250}` };
  });
  const outside = ["203.0.113.7", "198.51.100.20"].map((ip) => ({ full: ip, ip }));
  const documents = [];
  for (let pair = 0; pair < pairs; pair += 1) {
    const from = next() < 0.05 ? pick(outside) : pick(all);
    // Pods talk mostly to those of their own application: every eighth neighbour in the list.
    const near = all.filter((one, at) => from.name !== undefined && at % 16 === all.indexOf(from) % 16);
    const to = next() < 0.08 ? pick(outside) : pick(near.length > 1 && next() < 0.85 ? near : all);
    if (from === to) continue;
    const service = to.name !== undefined && next() < 0.4 ? `${to.namespace}/${to.name.split("-")[0]}:http` : undefined;
    const size = 2000 * 10 ** (next() * 3.5);
    const begin = now - minutes * 60_000 * (0.3 + 0.7 * next());
    const port = 30000 + Math.floor(next() * 30000);
    const kind = `${from.name ? "Pod" : "External"}-to-${to.name ? (service ? "Service" : "Pod") : "External"}`;
    for (let time = begin + every * 1000; time <= now; time += every * 1000) {
      const bytes = Math.round(size * (0.7 + 0.6 * next()) * (1.4 + Math.sin(time / 200_000 + pair)));
      const back = Math.round(bytes * 0.06);
      documents.push(drop({
        "@timestamp": Math.round(time),
        host: "10.0.0.1",
        "ipfix.sourceIPv4Address": from.ip,
        "ipfix.destinationIPv4Address": to.ip,
        "ipfix.sourceIP": from.ip,
        "ipfix.destinationIP": to.ip,
        "ipfix.sourceTransportPort": port,
        "ipfix.destinationTransportPort": 80,
        "ipfix.protocolIdentifier": 6,
        "ipfix.protocol": "TCP",
        "ipfix.octetDeltaCount": bytes,
        "ipfix.reverseOctetDeltaCount": back,
        "ipfix.packetDeltaCount": Math.ceil(bytes / 1400),
        "ipfix.reversePacketDeltaCount": Math.ceil(bytes / 2800),
        "ipfix.bytes": bytes + back,
        "ipfix.packets": Math.ceil(bytes / 1400) + Math.ceil(bytes / 2800),
        "ipfix.sourcePodName": from.name,
        "ipfix.sourcePodNamespace": from.namespace,
        "ipfix.sourceNodeName": from.node,
        "ipfix.destinationPodName": to.name,
        "ipfix.destinationPodNamespace": to.namespace,
        "ipfix.destinationNodeName": to.node,
        "ipfix.destinationServicePortName": service,
        "ipfix.sourceName": from.full,
        "ipfix.destinationName": to.full,
        "ipfix.podPair": `${from.full} → ${to.full}`,
        "ipfix.servicePair": service && `${from.full} → ${service}`,
        "ipfix.nodePair": from.node && to.node && `${from.node} → ${to.node}`,
        "ipfix.flowKind": kind,
        "ipfix.flowTypeStr": !to.node ? "To External" : !from.node ? "From External" : from.node === to.node ? "Intra-Node" : "Inter-Node",
        "ipfix.flowId": pair + 1,
      }));
    }
  }
  return documents;
}

function drop(document) {
  for (const [name, value] of Object.entries(document)) if (value === undefined) delete document[name];
  return document;
}
