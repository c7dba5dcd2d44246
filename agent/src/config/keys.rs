//! Every key that a configuration may have, in one place.

/// Keys of the file that the agent acts on.
pub(super) const OURS: [&str; 8] = [
    "featureGates",
    "flowCollectorAddr",
    "flowPollInterval",
    "flowExportFrequency",
    "flowExporter",
    "ovsDatapathType",
    "ovsRunDir",
    "podflow",
];

/// Keys of the newer nested form.
pub(super) const FLOW_EXPORTER: [&str; 5] =
    ["enable", "flowCollectorAddr", "flowPollInterval", "activeFlowExportTimeout", "idleFlowExportTimeout"];

/// Keys under `podflow`.
pub(super) const PODFLOW: [&str; 19] = [
    "conntrackSource",
    "conntrackZones",
    "clusterCIDRs",
    "clusterName",
    "probes",
    "exclude",
    "template",
    "secondsOctets",
    "pathMTU",
    "resend",
    "resendOctets",
    "statusAddr",
    "metricsAddr",
    "tls",
    "tunnels",
    "maxConnections",
    "maxEndedFlows",
    "stateFile",
    "idleTimeout",
];

/// Keys under `podflow.tls`.
pub(super) const TLS: [&str; 4] = ["ca", "serverName", "certificate", "key"];

/// Keys under `podflow.tunnels`.
pub(super) const TUNNELS: [&str; 2] = ["ports", "protocols"];

/// Keys of a rule under `podflow.exclude`.
pub(super) const RULE: [&str; 5] = ["kind", "network", "port", "protocol", "namespace"];

/// Keys that Antrea documents for its agent, of any release, and that mean nothing here.
pub(super) const ANTREA: [&str; 49] = [
    "activeFlowExportTimeout",
    "antreaClientConnection",
    "antreaProxy",
    "apiPort",
    "auditLogging",
    "cniSocket",
    "clientConnection",
    "clusterMembershipPort",
    "defaultMTU",
    "disableTXChecksumOffload",
    "dnsServerOverride",
    "egress",
    "enableBridgingMode",
    "enableIPSecTunnel",
    "enablePrometheusMetrics",
    "enableTLSToFlowAggregator",
    "externalNode",
    "fqdnCacheMinTTL",
    "hostGateway",
    "hostNetworkAcceleration",
    "hostProcPathPrefix",
    "idleFlowExportTimeout",
    "igmpQueryInterval",
    "ipsec",
    "kubeAPIServerOverride",
    "legacyCRDMirroring",
    "multicast",
    "multicastInterfaces",
    "multicluster",
    "noSNAT",
    "nodePortLocal",
    "nodeType",
    "nplPortRange",
    "ovsBridge",
    "packetInRate",
    "secondaryNetwork",
    "serviceCIDR",
    "serviceCIDRv6",
    "snatFullyRandomPorts",
    "tlsCipherSuites",
    "tlsMinVersion",
    "trafficEncapMode",
    "trafficEncryptionMode",
    "transportInterface",
    "transportInterfaceCIDRs",
    "tunnelCsum",
    "tunnelPort",
    "tunnelType",
    "wireGuard",
];

/// Feature gates of Antrea, of any release; two of them mean something here.
pub(super) const GATES: [&str; 38] = [
    "AdminNetworkPolicy",
    "AllAlpha",
    "AllBeta",
    "AntreaIPAM",
    "AntreaPolicy",
    "AntreaProxy",
    "BGPPolicy",
    "CleanupStaleUDPSvcConntrack",
    "ClusterNetworkPolicy",
    "Egress",
    "EgressSeparateSubnet",
    "EgressTrafficShaping",
    "EndpointSlice",
    "ExternalNode",
    "FlowExporter",
    "IPsecCertAuth",
    "L7FlowExporter",
    "L7NetworkPolicy",
    "LoadBalancerModeDSR",
    "Multicast",
    "Multicluster",
    "NetworkPolicyStats",
    "NodeIPAM",
    "NodeLatencyMonitor",
    "NodeNetworkPolicy",
    "NodePortLocal",
    "PacketCapture",
    "SecondaryNetwork",
    "ServiceExternalIP",
    "ServiceTrafficDistribution",
    "StaleUDPConntrackCleanup",
    "SupportBundleCollection",
    "SupportBundle",
    "TopologyAwareHints",
    "Traceflow",
    "TrafficControl",
    "WireGuard",
    "HostNetworkAcceleration",
];
