#!/usr/bin/env python3
"""The collector beside nfcapd (nfdump) and nfacctd (pmacct): the same records, one program after the other, in one run.

compare.py [--records N] [--server NAME]

1. decoding to NDJSON on one core (ours; the others write no documents)
2. UDP at rising rates up to the first datagram that the kernel drops before the program (/proc/net/udp counts for all
   alike) or that ours drops itself and counts; the processor time that a million records take, until the program rests
3. TCP as fast as it goes (ours; the others take none)
4. over TCP into a real Elasticsearch or OpenSearch: records a second, and who used the processors
Prints a table in Markdown. Needs a release build: `make bench` makes one.
"""

import argparse
import contextlib
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release"
RATES = [12_500, 25_000, 50_000, 100_000, 200_000, 400_000, 800_000, 1_600_000]
SECONDS = 4  # of each rate
QUIET = 0.05  # seconds of processor time a second: nothing is to be done
TICKS = os.sysconf("SC_CLK_TCK")


def free_port(kind=socket.SOCK_DGRAM):
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def processor_seconds(pid):
    """User and system time of a process and those of its children that have ended."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return sum(int(field) for field in fields[11:15]) / TICKS


def tree_seconds(pid):
    """The same of a process and all that it started."""
    children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return processor_seconds(pid) + sum(tree_seconds(int(child)) for child in children)


def kernel_drops(port):
    """Datagrams dropped for want of room before any socket on this port."""
    drops = 0
    for table in ("/proc/net/udp", "/proc/net/udp6"):
        for line in pathlib.Path(table).read_text().splitlines()[1:]:
            fields = line.split()
            if int(fields[1].rsplit(":", 1)[1], 16) == port:
                drops += int(fields[12])
    return drops


def waiting(port):
    """Octets that wait in the sockets on this port."""
    octets = 0
    for table in ("/proc/net/udp", "/proc/net/udp6"):
        for line in pathlib.Path(table).read_text().splitlines()[1:]:
            fields = line.split()
            if int(fields[1].rsplit(":", 1)[1], 16) == port:
                octets += int(fields[4].split(":")[1], 16)
    return octets


def load(transport, port, records, rate=None):
    arguments = [TARGET / "examples" / "load", transport, f"127.0.0.1:{port}", str(records)]
    done = subprocess.run(arguments + ([str(rate)] if rate else []), check=True, capture_output=True, text=True)
    return float(done.stdout.rsplit(":", 1)[1].split()[0])


@contextlib.contextmanager
def running(command, **options):
    process = subprocess.Popen(command, **options)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()


@contextlib.contextmanager
def collector(folder, store):
    udp, tcp, page = free_port(), free_port(socket.SOCK_STREAM), free_port(socket.SOCK_STREAM)
    inventory, config = folder / "inventory.yml", folder / "collector.yml"
    inventory.write_text(subprocess.run([TARGET / "examples" / "load", "inventory"], check=True, capture_output=True, text=True).stdout)
    config.write_text(
        f"listen: {{udp: ['127.0.0.1:{udp}'], tcp: ['127.0.0.1:{tcp}']}}\nhttp: {{listen: '127.0.0.1:{page}'}}\n"
        f"cluster: {{inventory: '{inventory}', kubernetes: off}}\nspool: {{path: '{folder}/spool'}}\n"
        f"deadLetters: {{path: '{folder}/spool'}}\nstore: {store}\n"
    )
    log = open(folder / "collector.log", "w")
    with running([TARGET / "podflow-collector", "run", "--config", config], stdout=log, stderr=log) as process:
        status = lambda: json.load(urllib.request.urlopen(f"http://127.0.0.1:{page}/status"))
        until(lambda: answers(status))
        yield process, udp, tcp, status


def answers(ask):
    try:
        ask()
        return True
    except OSError:
        return False


def until(done, limit=600):
    begun = time.monotonic()
    while not done():
        if time.monotonic() - begun > limit:
            raise TimeoutError("waited in vain")
        time.sleep(0.05)


def rest(process):
    """Waits until a program has nothing to do any more; gives the processor time that it has had by then."""
    before, used = -1.0, tree_seconds(process.pid)
    while used - before > QUIET:
        time.sleep(1)
        before, used = used, tree_seconds(process.pid)
    return used


def nfcapd(folder, port):
    (folder / "nfcapd").mkdir()
    return ["nfcapd", "-b", "127.0.0.1", "-p", str(port), "-w", str(folder / "nfcapd"), "-B", str(64 << 20)]


def nfacctd(folder, port):
    config = folder / "nfacctd.conf"
    config.write_text(
        f"nfacctd_ip: 127.0.0.1\nnfacctd_port: {port}\nnfacctd_pipe_size: {64 << 20}\nplugins: print\n"
        "plugin_buffer_size: 1048576\nplugin_pipe_size: 104857600\nprint_refresh_time: 1\nprint_output: json\n"
        f"print_output_file: {folder}/nfacctd.json\naggregate: src_host, dst_host, src_port, dst_port, proto, timestamp_start\n"
    )
    return ["nfacctd", "-f", str(config)]


def rising(name, process, port, dropped_itself=lambda: 0):
    """The highest rate without a drop, and the processor seconds of a million records at it."""
    best, cost = 0.0, 0.0
    for rate in RATES:
        dropped, used = kernel_drops(port) + dropped_itself(), rest(process)
        records = rate * SECONDS
        sent = load("udp", port, records, rate)
        until(lambda: waiting(port) == 0)
        used = (rest(process) - used) / records * 1e6
        dropped = kernel_drops(port) + dropped_itself() - dropped
        print(f"  {name}: {sent:,.0f} records a second, {dropped} datagrams dropped, {used:.2f} s a million", flush=True)
        if dropped:
            return best, cost, sent
        best, cost = max(best, sent), used
        if sent < 0.8 * rate:
            break  # the sender cannot do more
    return best, cost, None


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--records", type=int, default=1_000_000, help="records over TCP and into the server")
    arguments.add_argument("--server", default="opensearch-2.19.1", help="a name that e2e/servers/run.sh knows")
    given = arguments.parse_args()
    rows = []

    decoded = subprocess.run([TARGET / "examples" / "decode_rate"], check=True, capture_output=True, text=True).stdout
    print(decoded, flush=True)
    rate = [line.rsplit(": ", 1)[1].split()[0] for line in decoded.splitlines() if "records a second" in line]
    rows.append(("message to NDJSON, one core", f"{float(rate[0]):,.0f} records/s", "–", "–"))

    udp = []
    folder = pathlib.Path(tempfile.mkdtemp(prefix="podflow-bench-"))
    try:
        with collector(folder, f"{{embedded: {{path: '{folder}/store'}}}}") as (process, port, _, status):
            queue_full = lambda: status()["received"]["dropped_messages"]["queue_full"]
            udp.append(rising("podflow-collector, embedded store", process, port, queue_full))
        for name, command in (("nfcapd", nfcapd), ("nfacctd", nfacctd)):
            port = free_port()
            quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": folder}
            if shutil.which(name) is None and not pathlib.Path(f"/usr/sbin/{name}").exists():
                udp.append(None)
                continue
            os.environ["PATH"] += ":/usr/sbin"
            with running(command(folder, port), **quiet) as process:
                time.sleep(2)
                udp.append(rising(name, process, port))
        shown = lambda r: "not installed" if r is None else f"{r[0]:,.0f}" + ("" if r[2] is None else f" (drops at {r[2]:,.0f})")
        rows.append(("UDP without a drop, records/s", *map(shown, udp)))
        rows.append(("processor seconds a million records, UDP", *("–" if r is None else f"{r[1]:.2f}" for r in udp)))

        (folder / "tcp").mkdir()
        with collector(folder / "tcp", f"{{embedded: {{path: '{folder}/tcp/store'}}}}") as (process, _, port, status):
            begun, used = time.monotonic(), tree_seconds(process.pid)
            load("tcp", port, given.records)
            until(lambda: status()["stored"] == given.records)
            seconds, used = time.monotonic() - begun, tree_seconds(process.pid) - used
            rows.append(("TCP into the embedded store", f"{given.records / seconds:,.0f} records/s, {used / given.records * 1e6:.2f} s a million", "–", "–"))

        (folder / "es").mkdir()
        port = free_port(socket.SOCK_STREAM)
        script = [ROOT / "e2e" / "servers" / "run.sh", given.server, str(port)]
        server = subprocess.Popen(script, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        try:
            until(lambda: answers(lambda: urllib.request.urlopen(f"http://127.0.0.1:{port}")))
            with collector(folder / "es", f"{{elasticsearch: {{hosts: ['http://127.0.0.1:{port}']}}}}") as (process, _, tcp, status):
                begun, ours, theirs = time.monotonic(), tree_seconds(process.pid), tree_seconds(server.pid)
                load("tcp", tcp, given.records)
                until(lambda: status()["stored"] == given.records, 3600)
                seconds = time.monotonic() - begun
                ours, theirs = tree_seconds(process.pid) - ours, tree_seconds(server.pid) - theirs
                share = 100 * ours / (ours + theirs)
                a_million = [used / given.records * 1e6 for used in (ours, theirs)]
                rows.append((f"TCP into {given.server}", f"{given.records / seconds:,.0f} records/s", "–", "–"))
                rows.append(("processor seconds a million records: collector, server", "{:.1f}, {:.1f}".format(*a_million) + f" ({share:.1f} %, {100 - share:.1f} %)", "–", "–"))
        finally:
            server.stdin.close()
            server.wait()
    finally:
        shutil.rmtree(folder, ignore_errors=True)

    print(f"\n{os.cpu_count()} processors, load {os.getloadavg()[2]:.1f} (of the last 15 minutes)")
    print("\n| measured | podflow-collector | nfcapd | nfacctd |\n|---|---|---|---|")
    for row in rows:
        print("| " + " | ".join(row) + " |")


if __name__ == "__main__":
    main()
