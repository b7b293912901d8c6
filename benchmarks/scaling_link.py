"""Run a program under mpiexec on made-up machines that are connected by a slow link. Linux only, without root.

    unshare --user --map-root-user --net python benchmarks/scaling_link.py --machines 2 --mbit 100 --delay-us 1000 \
        --mpiexec mpiexec -- python program.py

Each machine is a network namespace with an interface of its own, and has one rank. This program is the switch between
them: a packet takes its bits divided by the rate to leave its machine, one after the other, and arrives after the
delay. The kernel's own netem would do the same; many kernels do not have it.
"""

from __future__ import annotations

import argparse
import ctypes
import fcntl
import heapq
import os
import select
import shlex
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

NEW_NETWORK = 0x40000000
"""CLONE_NEWNET of unshare(2)."""
MAKE_INTERFACE, PLAIN_PACKETS = 0x400454CA, 0x0001 | 0x1000
"""TUNSETIFF, and IFF_TUN | IFF_NO_PI, of the kernel's if_tun.h."""
ADDRESS = "10.9.0.{}"
SOON = 2e-4
"""Seconds: for so short a time the switch does not sleep, because waking takes as long."""
SETTINGS = {"tcp_congestion_control": "reno", "tcp_slow_start_after_idle": "0", "tcp_no_metrics_save": "1"}
"""A constant rate is known from the first packet on: no slow start, and no estimate of the rate as BBR makes it."""


def available() -> str:
    """Why there can be no slow link here; empty if there can."""
    if not Path("/dev/net/tun").exists():
        return "there is no /dev/net/tun"
    command = ["unshare", "--user", "--map-root-user", "--net", "ip", "tuntap", "add", "dev", "link0", "mode", "tun"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except OSError as error:
        return str(error)
    return done.stderr.strip() if done.returncode else ""


def machine(number: int, mtu: int) -> tuple[int, int]:
    """Make a network namespace with an interface: the file descriptors of the namespace and of its packets."""
    if ctypes.CDLL(None, use_errno=True).unshare(NEW_NETWORK):
        raise OSError(ctypes.get_errno(), "a network namespace could not be made")
    packets = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(packets, MAKE_INTERFACE, struct.pack("16sH", b"link0", PLAIN_PACKETS))
    own = ADDRESS.format(number)
    for words in (
        "link set lo up",
        f"address add {own}/24 dev link0",
        f"link set link0 mtu {mtu} up",
        f"route change 10.9.0.0/24 dev link0 src {own} initcwnd 400 initrwnd 400",
    ):
        subprocess.run(["ip", *words.split()], check=True)
    for name, value in SETTINGS.items():
        Path("/proc/sys/net/ipv4", name).write_text(value)
    return os.open("/proc/self/ns/net", os.O_RDONLY), packets


def switch(packets: list[int], rate: float, delay: float, child: subprocess.Popen[bytes]) -> None:
    """Pass packets on until the child ends: ``rate`` bytes per second out of each machine, ``delay`` seconds."""
    poll = select.epoll()
    for descriptor in packets:
        poll.register(descriptor, select.EPOLLIN)
    free = dict.fromkeys(packets, 0.0)
    travelling: list[tuple[float, int, int, bytes]] = []
    number = 0
    while child.poll() is None:
        wait = travelling[0][0] - time.perf_counter() if travelling else 0.1
        for source, _ in poll.poll(wait if wait > SOON else 0):
            for _ in range(64):
                try:
                    packet = os.read(source, 65536)
                except BlockingIOError:
                    break
                free[source] = max(time.perf_counter(), free[source]) + len(packet) / rate
                number += 1
                if packet[0] >> 4 == 4 and 1 <= packet[19] <= len(packets):  # IPv4, to one of the machines
                    heapq.heappush(travelling, (free[source] + delay, number, packets[packet[19] - 1], packet))
        while travelling and travelling[0][0] <= time.perf_counter():
            _, _, target, packet = heapq.heappop(travelling)
            try:
                os.write(target, packet)
            except BlockingIOError:
                continue  # a full queue loses packets; TCP sends them again


def main() -> None:
    """Make the machines, start mpiexec on the first, and be the switch."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--machines", type=int, required=True)
    parser.add_argument("--mbit", type=float, required=True, help="megabits per second, in each direction")
    parser.add_argument("--delay-us", type=float, required=True, help="microseconds")
    parser.add_argument("--mtu", type=int, default=9000, help="bytes of a packet (default 9000)")
    parser.add_argument("--mpiexec", default="mpiexec")
    parser.add_argument("command", nargs="+")
    options = parser.parse_args()
    made = [machine(i + 1, options.mtu) for i in range(options.machines)]
    hosts = [ADDRESS.format(i + 1) for i in range(options.machines)]
    with tempfile.TemporaryDirectory() as folder:
        enter = [f"nsenter --net=/proc/{os.getpid()}/fd/{namespace}" for namespace, _ in made]
        cases = "\n".join(f'{host}) shift; exec {words} sh -c "$*";;' for host, words in zip(hosts, enter, strict=True))
        launcher = Path(folder, "launcher")
        launcher.write_text(f'#!/bin/sh\nwhile [ $# -gt 0 ]; do case "$1" in\n{cases}\nesac; shift; done\n')
        launcher.chmod(0o700)
        Path(folder, "hosts").write_text("".join(f"{host}:1\n" for host in hosts))
        start = [
            *enter[0].split(),
            options.mpiexec,
            "-f",
            f"{folder}/hosts",
            "-localhost",
            hosts[0],
            "-launcher",
            "ssh",
        ]
        start += ["-launcher-exec", str(launcher), "-n", str(options.machines), *options.command]
        tcp = {"MPIR_CVAR_CH4_NETMOD": "ofi", "FI_PROVIDER": "tcp", "FI_TCP_IFACE": "link0"}
        print(shlex.join(start), file=sys.stderr)
        child = subprocess.Popen(start, env=os.environ | tcp, pass_fds=[namespace for namespace, _ in made])
        try:
            switch([packets for _, packets in made], options.mbit * 1e6 / 8, options.delay_us * 1e-6, child)
        finally:
            child.terminate()
        sys.exit(child.wait())


if __name__ == "__main__":
    main()
