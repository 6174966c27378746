#!/usr/bin/env python3
"""Runs a command and writes one JSON object about its whole process tree.

    measure.py --result FILE --log FILE [--user NAME] -- COMMAND...

The measuring process is a subreaper: daemons that the command leaves behind are waited for, and count.
`wall_seconds` ends when the command has ended, `wall_all_seconds` when the last of its processes has.
CPU time and bytes come from the kernel's own accounts of reaped children; memory is sampled, as the
sum over the tree of what is resident.
"""

import argparse
import ctypes
import json
import os
import pwd
import resource
import sys
import threading
import time

PR_SET_CHILD_SUBREAPER = 36
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
SAMPLE_SECONDS = 0.02


class Tree:
    """Memory of all descendants of this process, sampled until stopped."""

    def __init__(self):
        self.sum_bytes = self.largest_bytes = 0
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        while not self.stopped.wait(SAMPLE_SECONDS):
            sizes = [resident_bytes(process) for process in descendants(os.getpid())]
            self.sum_bytes = max(self.sum_bytes, sum(sizes))
            self.largest_bytes = max([self.largest_bytes, *sizes])

    def stop(self):
        self.stopped.set()
        self.thread.join()


def descendants(root):
    """Found through the kernel's lists of children: a sample costs what the tree costs."""
    found, left = [], [root]
    while left:
        process = left.pop()
        try:
            threads = os.listdir(f"/proc/{process}/task")
            for thread in threads:
                with open(f"/proc/{process}/task/{thread}/children") as children:
                    left += [int(child) for child in children.read().split()]
        except OSError:
            continue
        if process != root:
            found.append(process)
    return found


def resident_bytes(process):
    try:
        with open(f"/proc/{process}/statm") as file:
            return int(file.read().split()[1]) * PAGE_BYTES
    except (OSError, IndexError):
        return 0


def io_bytes():
    """Bytes through read and write so far, by this process and the children it has reaped."""
    with open("/proc/self/io") as file:
        fields = dict(line.split(": ") for line in file.read().splitlines())
    return int(fields["rchar"]), int(fields["wchar"])


def machine_seconds():
    """CPU time of the whole machine since it was started."""
    with open("/proc/stat") as file:
        fields = [int(field) for field in file.readline().split()[1:9]]
    busy = fields[0] + fields[1] + fields[2] + fields[5] + fields[6]
    return busy / os.sysconf("SC_CLK_TCK")


def become(user):
    entry = pwd.getpwnam(user)
    os.initgroups(user, entry.pw_gid)
    os.setgid(entry.pw_gid)
    os.setuid(entry.pw_uid)
    os.environ["HOME"] = entry.pw_dir


def start(command, user, log):
    process = os.fork()
    if process:
        return process
    try:
        os.setsid()
        os.dup2(log, 1)
        os.dup2(log, 2)
        if user:
            become(user)
        os.execvp(command[0], command)
    except OSError as error:
        print(f"{command[0]}: {error}", file=sys.stderr)
    os._exit(127)


def wait_for_all(process):
    """The command's exit code and when it ended, once nothing of its tree runs any more."""
    code = ended = None
    while True:
        try:
            reaped, status = os.wait()
        except ChildProcessError:
            return code, ended
        if reaped == process:
            code, ended = os.waitstatus_to_exitcode(status), time.monotonic()


def measure(command, user, log):
    before, io_before = resource.getrusage(resource.RUSAGE_CHILDREN), io_bytes()
    machine_before, began = machine_seconds(), time.monotonic()
    process = start(command, user, log)
    tree = Tree()
    code, ended = wait_for_all(process)
    all_ended = time.monotonic()
    tree.stop()
    after, io_after = resource.getrusage(resource.RUSAGE_CHILDREN), io_bytes()
    user_seconds = after.ru_utime - before.ru_utime
    system_seconds = after.ru_stime - before.ru_stime
    cpu_seconds = user_seconds + system_seconds
    return {
        "exit_code": code,
        "wall_seconds": round(ended - began, 3),
        "wall_all_seconds": round(all_ended - began, 3),
        "cpu_seconds": round(cpu_seconds, 3),
        "user_seconds": round(user_seconds, 3),
        "system_seconds": round(system_seconds, 3),
        "others_cpu_seconds": round(machine_seconds() - machine_before - cpu_seconds, 2),
        "read_bytes": io_after[0] - io_before[0],
        "written_bytes": io_after[1] - io_before[1],
        "disk_read_bytes": (after.ru_inblock - before.ru_inblock) * 512,
        "memory_sum_bytes": tree.sum_bytes,
        "memory_largest_bytes": tree.largest_bytes,
    }


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--result", required=True)
    parser.add_argument("--log", required=True)
    parser.add_argument("--user")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    arguments = parser.parse_args()
    command = arguments.command[1:] if arguments.command[:1] == ["--"] else arguments.command
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    log = os.open(arguments.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    result = measure(command, arguments.user, log)
    with open(arguments.result, "w") as file:
        json.dump(result, file)


if __name__ == "__main__":
    main()
