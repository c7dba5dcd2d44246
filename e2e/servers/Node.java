import @PACKAGE@.@RUNNER@;

/** One node in this JVM, until the JVM is told to stop. Arguments: HTTP port, data folder. run.sh fills in whose it is. */
public class Node {
    public static void main(String[] args) throws InterruptedException {
        @RUNNER@ runner = new @RUNNER@();
        runner.onBuild((number, settings) -> settings
                .putList("node.roles", "@MASTER@", "data", "ingest")
                .put("http.port", args[0])
                .put("discovery.type", "single-node")
                .put("network.host", "127.0.0.1")
                // On a small heap it takes garbage that was not collected yet for a full one, and refuses.
                .put("indices.breaker.total.use_real_memory", false)
                // A test needs little; how full the machine's disk is besides is not what it is about.
                .put("cluster.routing.allocation.disk.threshold_enabled", false)
                // As often as it can be, for the test of a disk that is full.
                .put("cluster.info.update.interval", "10s"));
        runner.build("-basePath", args[1], "-numOfNode", "1", "-clusterName", "podflow-test-" + args[0]);
        Thread.currentThread().join(); // the node's own threads are daemons
    }
}
