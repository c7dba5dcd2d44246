"""Captures made with scapy: the same messages in every kind of frame and file that is to be read.

usage: frames.py MESSAGES FOLDER; MESSAGES holds messages, each behind its length in two octets."""

import random
import struct
import sys

from scapy.layers.inet import IP, TCP, UDP, ICMP, IPOption_NOP, fragment
from scapy.layers.inet6 import IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrFragment, IPv6ExtHdrHopByHop, fragment6
from scapy.layers.l2 import ARP, CookedLinux, CookedLinuxV2, Dot1AD, Dot1Q, Ether, Loopback
from scapy.packet import Padding, Raw
from scapy.utils import PcapNgWriter, PcapWriter

ETHERNET, NULL, RAW, COOKED, IPV4, IPV6, COOKED2 = 1, 0, 101, 113, 228, 229, 276
TIME = 1_763_000_000.123456
FROM, TO, PORTS = "10.1.0.1", "10.1.0.9", dict(sport=50_000, dport=4_739)

folder = sys.argv[2]
octets = open(sys.argv[1], "rb").read()
messages = []
while octets:
    (length,) = struct.unpack(">H", octets[:2])
    messages.append(octets[2 : 2 + length])
    octets = octets[2 + length :]


def write(name, packets, linktype=ETHERNET, **how):
    for place, packet in enumerate(packets):
        packet.time = TIME + place
    with PcapWriter(f"{folder}/{name}.pcap", linktype=linktype, **how) as file:
        for packet in packets:
            file.write(packet)


def datagrams(below=None, ip=None):
    ip = ip or IP(src=FROM, dst=TO)
    packets = [ip / UDP(**PORTS) / Raw(message) for message in messages]
    return [below / packet for packet in packets] if below else packets


ether = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
ipv6 = IPv6(src="fd00::1", dst="fd00::9")

# One kind of frame each.
write("ethernet", datagrams(ether))
write("vlan", datagrams(ether / Dot1Q(vlan=7)))
write("qinq", datagrams(ether / Dot1AD(vlan=100) / Dot1Q(vlan=7)))
write("old-qinq", datagrams(Ether(type=0x9100) / Dot1Q(vlan=100) / Dot1Q(vlan=7)))
write("three-vlans", datagrams(ether / Dot1Q(vlan=1) / Dot1Q(vlan=2) / Dot1Q(vlan=3)))
write("cooked", datagrams(CookedLinux(src=b"\x02\0\0\0\0\1")), COOKED)
write("cooked-vlan", datagrams(CookedLinux() / Dot1Q(vlan=7)), COOKED)
write("cooked2", datagrams(CookedLinuxV2(src=b"\x02\0\0\0\0\1")), COOKED2)
write("cooked2-vlan", datagrams(CookedLinuxV2() / Dot1Q(vlan=7)), COOKED2)
write("raw", datagrams(), RAW)
write("raw-ipv4", datagrams(), IPV4)
write("raw-ipv6", datagrams(ip=ipv6), IPV6)
write("loopback", datagrams(Loopback(type=2)), NULL)
write("ethernet-ipv6", datagrams(ether, ipv6))
write("ipv6-extensions", datagrams(ether, ipv6 / IPv6ExtHdrHopByHop() / IPv6ExtHdrDestOpt()))
write("ip-options", datagrams(ether, IP(src=FROM, dst=TO, options=[IPOption_NOP()] * 4)))
write("cooked-ipv6", datagrams(CookedLinux(), ipv6), COOKED)

# Frames that hold no datagram for us, and a frame check sequence or padding behind those that do.
others = [ether / ARP(), ether / IP(src=FROM, dst=TO) / ICMP(), Ether(type=0x88CC) / Raw(b"\0" * 40), Raw(b"\1" * 5)]
write("among-others", others + [packet / Padding(b"\xaa" * 4) for packet in datagrams(ether)] + others)

# Fragments.
def flat(lists):
    return [packet for packets in lists for packet in packets]


def numbered(size=256):
    packets = datagrams(ether)
    for identification, packet in enumerate(packets):
        packet[IP].id = 1_000 + identification
    return [fragment(packet, size) for packet in packets]


write("fragments", flat(numbered()))
write("fragments-reversed", flat(reversed(parts) for parts in numbered()))
shuffled = flat(numbered())
random.Random(1).shuffle(shuffled)
write("fragments-mixed", shuffled)
write("fragments-twice", flat([part for part in parts[:-1] for _ in (0, 1)] + parts[-1:] for parts in numbered()))
write("fragments-missing", flat(parts[:1] + parts[2:] for parts in numbered()))


def overlapping(change):
    """Each packet in two sizes of fragments: the first half in the small one, everything in the large one."""
    lists = []
    for small, large in zip(numbered(64), numbered(256)):
        if len(large) == 1:
            lists.append(large)
            continue
        half = small[1 : len(small) // 2]
        if change:
            half[0] = half[0].copy()
            half[0][Raw].load = bytes(64)
        lists.append(large[:-1] + half + large[-1:])
    return flat(lists)


write("fragments-overlapping", overlapping(False))
write("fragments-contradicting", overlapping(True))
write("fragments-vlan", flat(fragment(packet, 256) for packet in datagrams(ether / Dot1Q(vlan=7))))


def fragments6():
    packets = [ether / ipv6 / IPv6ExtHdrFragment(id=9_000 + n) / packet[UDP] for n, packet in enumerate(datagrams())]
    lists = []
    for packet in packets:
        # The checksum covers addresses, which the layers above know only when they are put together.
        lists.append([ether / part for part in fragment6(packet[IPv6], 296)])
    return lists


write("fragments6", flat(fragments6()))
write("fragments6-reversed", flat(reversed(parts) for parts in fragments6()))
write("fragments6-missing", flat(parts[:-1] or parts for parts in fragments6()))

# TCP: the messages as one stream, in segments that have nothing to do with them.
stream = b"".join(messages)


def segment(sequence, payload=b"", flags="A", start=1_000, ports=PORTS):
    sequence = (start + sequence) % 2**32
    return ether / IP(src=FROM, dst=TO) / TCP(seq=sequence, flags=flags, ack=1, **ports) / Raw(payload)


def connection(size=300, start=1_000):
    parts = [segment(at, stream[at : at + size], start=start) for at in range(0, len(stream), size)]
    return [segment(-1, flags="S", start=start)] + parts + [segment(len(stream), flags="FA", start=start)]


whole = connection()
write("tcp", whole)
write("tcp-wrap", connection(start=2**32 - 700))
write("tcp-repeated", [packet for packet in whole for _ in (0, 1)])
write("tcp-repeated-later", whole[:1] + whole[1:5] + whole[1:5] + whole[3:])
mixed = whole[1:]
random.Random(2).shuffle(mixed)
write("tcp-mixed", whole[:1] + mixed)
write("tcp-overlapping", whole[:1] + [segment(at, stream[max(0, at) : at + 500]) for at in range(0, len(stream), 200)] + whole[-1:])
write("tcp-gap", whole[:4] + whole[5:])
write("tcp-middle", whole[2:])
write("tcp-reset", whole[:3] + [segment(600, flags="R")])
back = ether / IP(src=TO, dst=FROM) / TCP(sport=4_739, dport=50_000, seq=5, flags="A") / Raw(b"back")
write("tcp-both-ways", whole[:2] + [back] + whole[2:])
write("tcp-ports-again", whole + connection(start=77_000_000))
write("tcp-vlan", [Ether() / Dot1Q(vlan=7) / packet[IP] for packet in whole])
write("tcp-fragments", flat(fragment(packet, 128) if packet[TCP].payload else [packet] for packet in connection()))

# Files: byte orders, units of time, pcapng of scapy's own.
write("big-endian", datagrams(ether), endianness=">")
write("little-endian", datagrams(ether), endianness="<")
write("big-endian-ns", datagrams(ether), endianness=">", nano=True)
write("little-endian-ns", datagrams(ether), endianness="<", nano=True)
with PcapNgWriter(f"{folder}/scapy.pcapng") as file:
    for place, packet in enumerate(datagrams(ether)):
        packet.time = TIME + place
        packet.comment = "a comment"
        file.write(packet)


# pcapng as no library here writes it: every kind of block and option that there is, in both byte orders.
def block(order, kind, body):
    body += bytes(-len(body) % 4)
    length = len(body) + 12
    return struct.pack(order + "II", kind, length) + body + struct.pack(order + "I", length)


def option(order, code, value):
    return struct.pack(order + "HH", code, len(value)) + value + bytes(-len(value) % 4)


def odd_pcapng(order):
    section = block(order, 0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1) + option(order, 2, b"\xff\xfe"))
    seconds = 1_000_000_000
    # Nanoseconds since a start of its own; a name that is no text; a time zone; an option that nobody knows; no end.
    about = b"".join(
        option(order, code, value)
        for code, value in [
            (2, b"eth\xff"),
            (10, struct.pack(order + "I", 1)),
            (9, b"\x09"),
            (14, struct.pack(order + "q", 1_763_000_000 - seconds)),
            (4_711, b"what?"),
        ]
    )
    interfaces = block(order, 1, struct.pack(order + "HHI", ETHERNET, 0, 0) + about)
    interfaces += block(order, 1, struct.pack(order + "HHI", RAW, 0, 0) + option(order, 9, b"\x8a"))
    frames = [bytes(packet) for packet in datagrams(ether)]
    raw = bytes(datagrams()[1])
    ticks = seconds * 1_000_000_000 + 123_456_000
    high, low = divmod(ticks, 2**32)
    enhanced = struct.pack(order + "IIIII", 0, high, low, len(frames[0]), len(frames[0])) + frames[0]
    enhanced += bytes(-len(enhanced) % 4) + option(order, 1, b"a comment") + option(order, 0, b"")
    # Units of 2^-10 seconds, in the kind of block that came before the enhanced one.
    high, low = divmod(1_763_000_001 * 1_024 + 512, 2**32)
    old = struct.pack(order + "HHIIII", 1, 0xFFFF, high, low, len(raw), len(raw)) + raw
    simple = struct.pack(order + "I", len(frames[2])) + frames[2]
    unknown = block(order, 0x0BAD, b"passed over") + block(order, 5, struct.pack(order + "III", 0, 0, 0))
    packets = block(order, 6, enhanced) + unknown + block(order, 2, old) + block(order, 3, simple)
    return section + interfaces + packets


for order, name in (("<", "little"), (">", "big")):
    if len(messages) < 3:
        break  # one for each kind of packet block
    with open(f"{folder}/odd-{name}.pcapng", "wb") as file:
        file.write(odd_pcapng(order))
