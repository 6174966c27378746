#!/usr/bin/env python3
"""A second reader of vaults, written from docs/format/vault.md alone; it shares no code with Soter.

It is the oracle for the fixtures, and the way back to the data when nothing else runs any more:

    read_vault.py VAULT_DIRECTORY --identity operator.key            tells what is there, as JSON
    read_vault.py VAULT_DIRECTORY --identity operator.key --to DIR   and writes files and WAL into DIR
    read_vault.py --vectors docs/format/vault.md                     checks the page's test vectors

Needs: pip install blake3 cryptography zstandard. It reads vaults in directories, checks signatures,
chains and hashes, and takes a backup for live if a linked entry made it and none retired it.
"""
import argparse, base64, hashlib, hmac, json, os, re, struct, sys
from blake3 import blake3
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
import zstandard

BLOCK, PAGE = 128 << 10, 8 << 10
u32 = lambda data, at: struct.unpack_from("<I", data, at)[0]
u64 = lambda data, at: struct.unpack_from("<Q", data, at)[0]
hash_of = lambda data: blake3(data).digest()
derive = lambda context, key: blake3(key, derive_key_context="soter vault v1 " + context).digest()


def need(condition, what):
    if not condition:
        raise ValueError(what)


# -- age (https://age-encryption.org/v1), X25519 only

def identity(text):
    """The 32 bytes of an AGE-SECRET-KEY-1... (Bech32)."""
    alphabet, bits, count, key = "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L", 0, 0, b""
    for letter in text.strip()[len("AGE-SECRET-KEY-1"):-6]:
        bits, count = bits << 5 | alphabet.index(letter), count + 5
        if count >= 8:
            count -= 8
            key, bits = key + bytes([bits >> count]), bits & (1 << count) - 1
    return X25519PrivateKey.from_private_bytes(key)

def age_open(secret, data):
    hkdf = lambda key, salt, info: HKDF(SHA256(), 32, salt, info).derive(key)
    unbase64 = lambda text: base64.b64decode(text + b"=" * (-len(text) % 4))
    public = secret.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    head, _, rest = data.partition(b"\n--- ")
    mac, _, payload = rest.partition(b"\n")
    for share, body in re.findall(rb"\n-> X25519 (\S+)\n(\S+)", head):
        share = unbase64(share)
        shared = secret.exchange(X25519PublicKey.from_public_bytes(share))
        wrap = ChaCha20Poly1305(hkdf(shared, share + public, b"age-encryption.org/v1/X25519"))
        try:
            file_key = wrap.decrypt(bytes(12), unbase64(body), None)
        except Exception:
            continue
        made = hmac.digest(hkdf(file_key, b"", b"header"), head + b"\n---", hashlib.sha256)
        need(hmac.compare_digest(made, unbase64(mac)), "age: the header was changed")
        stream = ChaCha20Poly1305(hkdf(file_key, payload[:16], b"payload"))
        return stream.decrypt(bytes(11) + b"\1", payload[16:], None)  # one chunk: wraps are short
    raise ValueError("age: wrapped to another key")


# -- sections 2 to 4: header, keys, frames

def verify(public, message, signature):
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
        return True
    except InvalidSignature:
        return False

def key_bytes(text):
    return base64.b64decode(text.removeprefix("ed25519:"))

def object_key(context, key, store, session, name, salt):
    name = name.encode()
    place = store + session + struct.pack("<I", len(name)) + name + salt
    return blake3(place, key=derive(context, key)).digest()

def commitment(key):
    return derive("key commitment", key)

def content_id(metadata, data):
    return blake3(data, key=derive("content id", metadata)).digest()[:16]

def parse_header(data, kind):
    need(data[:4] == b"SOTR" and data[4] == kind and data[5] == 1, "header: another object")
    need(struct.unpack_from("<H", data, 6)[0] == 1 and not any(data[52:60]), "header: version")
    return {"store": data[8:16], "session": data[16:24], "number": u64(data, 24), "salt": data[32:48]}

def open_frame(key, data, at, kind):
    """Content and length of the frame at this offset of its object."""
    codec, found, zero, raw_length, sealed_length = struct.unpack_from("<BBHII", data, at)
    need(found & 127 == kind and zero == 0 and raw_length <= 1 << 20, "frame: header")
    sealed = data[at + 12:at + 12 + sealed_length]
    plain = AESGCM(key).decrypt(at.to_bytes(12, "big"), sealed, data[at:at + 12])
    if found & 128:
        plain = plain[:u32(plain, len(plain) - 4)]
    if codec == 1:
        plain = zstandard.ZstdDecompressor().decompress(plain, max_output_size=raw_length)
    need(len(plain) == raw_length, "frame: length")
    return plain, 12 + sealed_length

def open_frames(key, data, at, end, kind):
    raw = b""
    while at < end:
        content, length = open_frame(key, data, at, kind)
        raw, at = raw + content, at + length
    return raw


class Reader:
    """The words of section 6: numbers, signed numbers, texts."""
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, length):
        need(self.at + length <= len(self.data), "map: it ends too early")
        self.at += length
        return self.data[self.at - length:self.at]

    def number(self):
        value = shift = 0
        while True:
            byte = self.take(1)[0]
            value, shift = value | (byte & 127) << shift, shift + 7
            if byte < 128:
                return value

    def signed(self):
        value = self.number()
        return -(value + 1 >> 1) if value & 1 else value >> 1

    def text(self):
        return self.take(self.number())

    def many(self, read):
        return [read() for _ in range(self.number())]

    def packs(self, sessions):
        return self.many(lambda: (sessions[self.number()], self.number()))


class Vault:
    """Sections 1, 3, 7 to 9."""
    def __init__(self, directory, key_file):
        self.directory = directory
        text = open(key_file).read()
        self.roots = [key_bytes(root) for root in re.findall(r"^# root: (\S+)", text, re.M)]
        self.pinned = re.search(r"^# vault: (\S+)", text, re.M)[1]
        self.identity = identity(re.search(r"^AGE-SECRET-KEY-1\S+", text, re.M)[0])
        self.record = json.loads(self.read("soter.vault"))
        need(self.record["format"] == 1, "record: a newer format")
        found = {int(name, 16): self.first(f"trust/{name}", self.trust_list, name)
                 for name in self.names("trust") if re.fullmatch("[0-9a-f]{8}", name)}
        self.lists = {number: trust for number, trust in found.items() if trust}
        self.trust = self.lists[max(self.lists)]

    def names(self, folder):
        """What is in a folder, repairs under the name of what they repair."""
        path = os.path.join(self.directory, folder)
        found = os.listdir(path) if os.path.isdir(path) else []
        return sorted({re.sub(r"\.r[1-9]$", "", name) for name in found})

    def read(self, name):
        with open(os.path.join(self.directory, name), "rb") as file:
            return file.read()

    def first(self, name, read, *arguments):
        """What `read` makes of the object, or of the first repair that it understands."""
        for data in self.candidates(name):
            try:
                return read(data, *arguments)
            except (ValueError, LookupError, struct.error, InvalidTag):
                continue

    def candidates(self, name):
        for suffix in [""] + [f".r{n}" for n in range(1, 10)]:
            if os.path.exists(os.path.join(self.directory, name + suffix)):
                yield self.read(name + suffix)

    def trust_list(self, data, name):
        need(data[:4] == b"SOTT" and u32(data, 4) + 72 == len(data), "trust: not a list")
        need(any(verify(root, data[:-64], data[-64:]) for root in self.roots), "trust: signature")
        found = json.loads(data[8:-64])
        if found["format"] != 1 or found.get("needs"):
            sys.exit("trust: a newer format")
        need({self.pinned, self.record["vault"]} <= set(found["vaults"])
             and found["n"] == int(name, 16), "trust: another list")
        return found

    def enrolled(self, number, signer, role, store, position):
        """Whether this list enrols the signer; position `None`: anywhere in the log."""
        return any(row["key"] == signer and role in row["roles"] and its["store"] == store
                   and (position is None or its["from"] <= position < its.get("until", 1 << 64))
                   for row in self.lists.get(number, {"signers": []})["signers"]
                   for its in row["stores"])

    def may(self, number, *who):
        return self.enrolled(number, *who) and self.enrolled(self.trust["n"], *who)

    def may_wal(self, signer, store, name, span):
        """Whether the newest list believes WAL of this agent: enrolled, or in a range of its end."""
        incarnation, timeline = name.split("/")[2:4]
        ends = [its for row in self.trust["signers"] for its in row["stores"]
                if row["key"] == signer and "agent" in row["roles"] and its["store"] == store]
        return any("until" not in its or
                   any(it["incarnation"] == incarnation and it["timeline"] == int(timeline, 16)
                       and (not span or it["from"] <= span[0] and span[1] <= it["to"])
                       for it in its.get("wal", [])) for its in ends)

    # -- section 10

    def directs(self, number, signer):
        trust = self.lists.get(number, {"root": None, "operators": [], "signers": []})
        return (trust["root"] == signer
                or any(row.get("signer") == signer for row in trust["operators"])
                or any(row["key"] == signer and "operator" in row["roles"]
                       and (not row["stores"] or any("until" not in its for its in row["stores"]))
                       for row in trust["signers"]))

    def document(self, data, name):
        need(data[:4] == b"SOTD" and u32(data, 12) == 0, "document: magic")
        frames = 32 + u32(data, 4)
        need(frames + u32(data, 8) + 64 == len(data), "document: lengths")
        head = json.loads(data[32:frames])
        message = b"soter vault v1 document" + struct.pack("<I", len(name)) + name.encode() + data[:-64]
        need(verify(key_bytes(head["signer"]), message, data[-64:]), "document: signature")
        need(self.directs(head["trust"], head["signer"])
             and self.directs(self.trust["n"], head["signer"]), "document: a stranger")
        if head["format"] != 1 or head.get("needs"):
            sys.exit("document: a newer format")
        need(head["vault"] == self.record["vault"], "document: another vault")
        return {"head": head, "name": name, "hash": hash_of(data).hex(), "data": data, "frames": frames}

    def document_key(self, found):
        key = age_open(self.identity, base64.b64decode(found["head"]["key"]["age"]))
        need(commitment(key).hex() == found["head"]["commitment"], "document: the commitment is another's")
        return key

    def document_content(self, found, key):
        key = object_key("document", key, bytes(8), bytes(8), found["name"], found["data"][16:32])
        return open_frames(key, found["data"], found["frames"], len(found["data"]) - 64, 11)

    def plans(self):
        """(number, signer, files) of every plan that is believed."""
        for number in self.names("plan"):
            found = self.first(f"plan/{number}", self.document, f"plan/{number}")
            if not found:
                continue
            content = self.document_content(found, self.document_key(found))
            at, files = 4, {}
            for _ in range(u32(content, 0)):
                name = content[at + 4:at + 4 + u32(content, at)].decode()
                at += 4 + u32(content, at)
                files[name] = content[at + 4:at + 4 + u32(content, at)]
                at += 4 + u32(content, at)
            need(at == len(content), "plan: its length")
            yield int(number, 16), found["head"]["signer"], files

    def runs(self):
        """(run, lines) of every run that is believed, chained to its end."""
        for run in self.names("run"):
            n, last, lines, key = 1, None, b"", None
            while True:
                name = f"run/{run}/{n:016x}"
                found = self.first(name, self.document, name)
                if not found:
                    break
                need(found["head"]["previous"] == last, name + ": it does not follow")
                key = key or self.document_key(found)
                piece = self.document_content(found, key)
                n, last, lines = n + piece.count(b"\n"), found["hash"], lines + piece
            if lines:
                yield run, lines

    def metadata(self, number, store):
        row = next(row for row in self.lists[number]["stores"] if row["id"] == store)["metadata"][-1]
        key = age_open(self.identity, base64.b64decode(row["key"]["age"]))
        need(commitment(key).hex() == row["commitment"], "K_meta: the commitment is another's")
        return key

    def unwrap(self, store, wrap, committed):
        for row in next(row for row in self.trust["stores"] if row["id"] == store)["keys"]:
            try:
                secret = age_open(self.identity, base64.b64decode(row["secret"]["age"]))
                key = age_open(identity(secret.decode()), wrap)
                need(commitment(key) == committed, "a key's commitment is another's")
                return key
            except ValueError as error:
                reason = error
        raise reason


class Store:
    """One store's log, packs and WAL."""
    def __init__(self, vault, row):
        self.vault, self.id, self.name = vault, row["id"], row["name"]
        self.entries, self.holes, self.sessions, self.rows = [], [], {}, {}
        self.backups, self.packs, self.session_keys = {}, {}, {}
        self.read_log()

    # -- sections 7 and 8

    def read_log(self):
        slots = [int(name, 16) for name in self.vault.names("log/" + self.id)]
        for sequence in range(max(slots, default=-1) + 1):
            found = self.vault.first(f"log/{self.id}/{sequence:016x}", self.entry, sequence)
            if not found:
                self.holes.append(sequence)
                continue
            self.entries.append(found)
            head, about = found["head"], found["head"].get("about") or {}
            role = {"open": "agent", "backup": "agent", "retire": "collector"}.get(head["kind"])
            if not role or not self.vault.may(head["trust"], head["signer"], role, self.id, sequence):
                continue
            if head["kind"] == "open":
                self.sessions[head["session"]] = found
            elif head["kind"] == "backup" and head["session"] in self.sessions:
                self.rows.update(pack_rows(found["tables"]))
                self.backups[about["id"]] = found
            elif head["kind"] == "retire":
                for retired in about["backups"]:
                    self.backups.pop(retired, None)

    def entry(self, data, sequence):
        need(data[:8] == b"SOTL\1\0\1\0", "entry: magic or version")
        head_length, tables_length, body_length = struct.unpack_from("<III", data, 8)
        tables = 40 + head_length
        body = tables + tables_length
        head = json.loads(data[40:tables])
        place = {"vault": self.vault.record["vault"], "store": self.id, "sequence": sequence}
        last = self.entries[-1] if self.entries else None
        need(len(data) == body + body_length + 64, "entry: lengths")
        need(verify(key_bytes(head["signer"]), data[:-64], data[-64:]), "entry: signature")
        need(place.items() <= head.items(), "entry: another place")
        roles = ["agent", "collector", "verifier", "copier", "operator"]
        need(any(self.vault.enrolled(head["trust"], head["signer"], role, self.id, sequence)
                 for role in roles), "entry: a stranger")
        need(head["trust"] >= (last["head"]["trust"] if last else 0), "entry: an old trust list")
        chained = head["previous"] == (last["hash"] if last else None)
        return {"head": head, "hash": hash_of(data).hex(), "salt": data[24:40], "chained": chained,
                "tables": data[tables:body], "data": data, "body": (body, body + body_length)}

    def body(self, entry):
        """The sealed content, and the map's root."""
        head = entry["head"]
        key = object_key("metadata", self.vault.metadata(head["trust"], self.id),
                         bytes.fromhex(self.id), bytes.fromhex(head.get("session") or "00" * 8),
                         f"log/{self.id}/{head['sequence']:016x}", entry["salt"])
        raw = open_frames(key, entry["data"], *entry["body"], 10)
        return (raw[4:4 + u32(raw, 0)], raw[4 + u32(raw, 0):]) if raw else (b"", b"")

    # -- section 5

    def session_key(self, session):
        if session not in self.session_keys:
            tables = self.sessions[session.hex()]["tables"]
            self.session_keys[session] = self.vault.unwrap(self.id, tables[32:], tables[:32])
        return self.session_keys[session]

    def frame(self, kind, pack, offset, frame_type):
        """A frame's content, from a pack whose bytes have the signed hash."""
        (session, number), folder = pack, {1: "data", 2: "map"}[kind]
        name = f"{folder}/{self.id}/{session.hex()}/{number:06x}"
        if name not in self.packs:
            salt, length, expected = self.rows[kind, session, number]
            good = [data for data in self.vault.candidates(name) if hash_of(data) == expected]
            need(good and len(good[0]) == length, name + ": not the signed bytes")
            need(parse_header(good[0], kind)["salt"] == salt, name + ": another salt")
            self.packs[name] = good[0]
        data = self.packs[name]
        if kind == 1:
            key, context = self.session_key(session), "content"
        else:
            trust = self.sessions[session.hex()]["head"]["trust"]
            key, context = self.vault.metadata(trust, self.id), "metadata"
        key = object_key(context, key, bytes.fromhex(self.id), session, name, data[32:48])
        return open_frame(key, data, offset, frame_type)[0]

    # -- section 6

    def files(self, root):
        """(path, kind, mode, content) of everything in a map; a link's content is its target."""
        reader = Reader(root)
        need(reader.take(1) == b"\1", "map: a newer root")
        sessions = reader.many(lambda: reader.take(8))
        map_packs = reader.packs(sessions)
        for pack, offset, _, shard_id, count, _ in reader.many(
                lambda: (map_packs[reader.number()], reader.number(), reader.number(),
                         reader.take(16), reader.number(), reader.text())):
            raw = self.frame(2, pack, offset, 6)
            need(content_id(self.vault.metadata(1, self.id), raw) == shard_id, "map: shard's id")
            entries = list(self.shard(raw))
            need(len(entries) == count, "map: entries of a shard")
            yield from entries
        reader.take(0), [reader.number() for _ in range(4)]
        late = reader.text()
        need(reader.at == len(root), "map: bytes after the root")
        yield from self.shard(late) if late else []

    def shard(self, raw):
        reader, path = Reader(raw), b""
        need(reader.take(1) == b"\1", "map: a newer shard")
        sessions = reader.many(lambda: reader.take(8))
        data_packs, map_packs = reader.packs(sessions), reader.packs(sessions)
        reader.many(lambda: (reader.number(), reader.number(), reader.text(), reader.text()))
        eager = reader.many(lambda: (data_packs[reader.number()], reader.number(), reader.number()))
        for _ in range(reader.number()):
            path = path[:reader.number()] + reader.text()
            kind, mode = reader.take(1)[0], reader.number()
            reader.number(), reader.signed(), reader.number()
            if kind == 1:
                content = b""
            elif kind in (2, 3):
                content = reader.text()
            elif kind == 4:
                size, (pack, offset, _), at = reader.number(), eager[reader.number()], reader.number()
                content = self.frame(1, pack, offset, 3)[at:at + size]
                expected = reader.take(16)
                need(content_id(self.vault.metadata(1, self.id), content) == expected, "eager file")
            else:
                need(kind == 5, "map: an unknown kind of entry")
                size, content = reader.number(), b""
                for start in range(0, size, BLOCK * 1024):
                    pack, offset = map_packs[reader.number()], reader.number()
                    reader.number(), reader.number()
                    content += self.leaf(self.frame(2, pack, offset, 4), min(size - start, BLOCK << 10))
                need(len(content) == size, "map: a file's size")
            yield path.decode(), kind, mode, content
        need(reader.at == len(raw), "map: bytes after a shard")

    def leaf(self, raw, size):
        reader = Reader(raw)
        need(reader.take(1) == b"\1", "map: a newer leaf")
        blocks = reader.number()
        packs = reader.packs(reader.many(lambda: reader.take(8)))
        kinds = reader.take(blocks)
        of_pages = [bool(page) for kind in kinds for page in [0] * (kind >> 2) + [1] * (kind & 3)]
        indexes = [reader.number() for _ in of_pages]
        ends, offsets = {}, []
        deltas = [reader.signed() for _ in of_pages]
        lengths = [reader.number() for _ in of_pages]
        for index, delta, length in zip(indexes, deltas, lengths):
            offsets.append(ends.get(index, 64) + delta)
            ends[index] = offsets[-1] + length
        pages = sum(of_pages)
        masks = iter(struct.unpack(f"<{pages}H", reader.take(2 * pages)))
        slots = iter(reader.take(pages))
        need(reader.at == len(raw), "map: bytes after a leaf")
        frames = iter(zip(of_pages, indexes, offsets))
        content = b""
        for number, kind in enumerate(kinds):
            length = min(BLOCK, size - number * BLOCK)
            block = bytearray(BLOCK)
            for _ in range((kind >> 2) + (kind & 3)):
                is_pages, index, offset = next(frames)
                frame = self.frame(1, packs[index], offset, 2 if is_pages else 1)
                if not is_pages:
                    block[:len(frame)] = frame
                    continue
                mask, slot = next(masks), next(slots)
                for page in [page for page in range(16) if mask >> page & 1]:
                    part = frame[slot * PAGE:(slot + 1) * PAGE]
                    block[page * PAGE:page * PAGE + len(part)] = part
                    slot += 1
            content += block[:length]
        return content

    # -- section 9

    def wal_files(self):
        """(name, bytes) of every sealed file."""
        for folder in self.folders("wal"):
            for file in self.vault.names(folder):
                if file != "idx":
                    name = f"{folder}/{file}"
                    yield name, self.vault.first(name, self.wal_file, name)

    def wal_file(self, data, name):
        header = parse_header(data, 3)
        head, trust, facts, wrap = u32(data, 64), u32(data, 72), u32(data, 76), u32(data, 224)
        signed = b"soter vault v1 signature" + struct.pack("<I", len(name)) + name.encode()
        signer = "ed25519:" + base64.b64encode(data[192:224]).decode()
        need(head == 228 + wrap + facts + 64, name + ": lengths")
        span = (u64(data, 80), u64(data, 88)) if u64(data, 88) else None
        need(self.vault.enrolled(trust, signer, "agent", self.id, None)
             and self.vault.may_wal(signer, self.id, name, span), name + ": a stranger")
        need(verify(data[192:224], signed + data[:head - 64], data[head - 64:head])
             and hash_of(data[head:]) == data[128:160], name + ": signature or hash")
        key = self.vault.unwrap(self.id, data[228:228 + wrap], data[160:192])
        key = object_key("wal", key, header["store"], header["session"], name, header["salt"])
        plain = open_frames(key, data, head, len(data), 8)
        need(len(plain) == u64(data, 96), name + ": length")
        need(content_id(self.vault.metadata(1, self.id), plain) == data[112:128], name + ": content")
        return plain

    def live_runs(self):
        """(folder, bytes) of the streamed parts of every segment, as far as they are one run."""
        for folder in (f"{timeline}/{segment}" for timeline in self.folders("live")
                       for segment in self.vault.names(timeline)):
            run, limit, parts = bytearray(), 1 << 62, []
            for file in self.vault.names(folder):
                raw = self.vault.first(f"{folder}/{file}", self.part, f"{folder}/{file}")
                if raw is not None:
                    parts.append((int(file[:8], 16), raw))
            for start, raw in sorted(parts):
                if start > len(run):
                    break
                both = zip(range(start, len(run)), run[start:], raw)
                limit = min([limit] + [at for at, one, other in both if one != other])
                run += raw[len(run) - start:]
            yield folder, bytes(run[:limit])

    def part(self, data, name):
        start, end, session = re.split("[-.]", name.rsplit("/", 1)[1])
        header, key = parse_header(data, 4), self.session_key(bytes.fromhex(session))
        key = object_key("content", key, header["store"], header["session"], name, header["salt"])
        raw = open_frames(key, data, 64, len(data), 8)
        need(len(raw) == int(end, 16) - int(start, 16), name + ": length")
        head = self.sessions[session]["head"]
        ranges = (its["wal"] for row in self.vault.trust["signers"] for its in row["stores"]
                  if its.get("wal"))
        size = next((it["segment_bytes"] for wal in ranges for it in wal
                     if it["incarnation"] == name.split("/")[2]), 0)
        first = int(name.split("/")[4], 16) * size
        span = (first + int(start, 16), first + int(end, 16))
        need(self.vault.may_wal(head["signer"], self.id, name, span), name + ": a stranger")
        return raw

    def folders(self, kind):
        """Timelines of all incarnations; for sealed files the folders in them."""
        found = [f"{kind}/{self.id}"]
        for _ in range(2 + (kind == "wal")):
            found = [f"{folder}/{name}" for folder in found for name in self.vault.names(folder)]
        return found


def pack_rows(tables):
    """Rows of a backup: {(class, session, number): (salt, length, hash)}."""
    rows, at = {}, 0
    for kind in (1, 2):
        sessions, at = u32(tables, at), at + 4
        for _ in range(sessions):
            session, runs, at = tables[at:at + 8], u32(tables, at + 8), at + 12
            for _ in range(runs):
                first, count = struct.unpack_from("<II", tables, at)
                at += 8
                for number in range(first, first + count):
                    row = tables[at:at + 52]
                    rows[kind, session, number] = row[:16], u32(row, 16), row[20:]
                    at += 52
    return rows


def put(directory, name, content):
    path = os.path.join(directory, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "xb") as file:
        file.write(content)

def report(store, to):
    digest = lambda content: hash_of(content).hex()
    backups = {}
    for backup, entry in store.backups.items():
        content, root = store.body(entry)
        files = {}
        for path, kind, mode, data in store.files(root) if root else []:
            files[path] = {"kind": {1: "directory", 2: "link"}.get(kind, "file"),
                           "mode": mode, "size": len(data), "blake3": digest(data)}
            if to and kind > 2:
                put(to, f"{store.name}/{backup}/{path}", data)
            elif to and kind == 1:
                os.makedirs(os.path.join(to, store.name, backup, path), exist_ok=True)
        backups[backup] = {"content": digest(content), "files": files}
    described = {}
    for kind, found in [("wal", store.wal_files()), ("live", store.live_runs())]:
        described[kind] = {}
        for name, data in found:
            described[kind][name] = data and {"size": len(data), "blake3": digest(data)}
            if to and data:
                put(to, f"{store.name}/{name}", data)
    entries = [[entry["head"]["sequence"], entry["head"]["kind"], entry["hash"], entry["chained"]]
               for entry in store.entries]
    return {"name": store.name, "entries": entries, "holes": store.holes, "backups": backups,
            **described}


def check_vectors(page):
    """Computes the values of section 11 from the given ones."""
    block = open(page).read().split("```vectors\n")[1].split("```")[0].replace("\n  ", "")
    v = {name: bytes.fromhex(value) for name, value in
         (line.split(" = ") for line in block.strip().split("\n"))}
    name, content = v["pack name"].decode(), v["content"]
    make = lambda context, key, name, salt: object_key(context, v[key], v["store"], v["session"],
                                                       name, v[salt])
    signer = Ed25519PrivateKey.from_private_bytes(v["signer seed"])
    header = struct.pack("<4sBBH8s8sQ16sI8s", b"SOTR", 1, 1, 1, v["store"], v["session"], 7,
                         v["salt"], 0, bytes(8))
    seal = lambda key, head, plain: head + AESGCM(key).encrypt((64).to_bytes(12, "big"), plain, head)
    padded = content + bytes(4092 - len(content)) + struct.pack("<I", len(content))
    entry, at = v["entry"], 40
    lengths = struct.unpack_from("<III", entry, 8)
    head = json.loads(entry[40:40 + lengths[0]])
    body_at = 40 + lengths[0] + lengths[1]
    log_name = f"log/{v['store'].hex()}/{5:016x}"
    body_key = object_key("metadata", v["K_meta"], v["store"], bytes(8), log_name, v["entry salt"])
    body = open_frames(body_key, entry, body_at, body_at + lengths[2], 10)
    zstd_object = bytes(64) + v["zstd frame"]
    checks = {
        "commitment": commitment(v["K_session"]),
        "content id": content_id(v["K_meta"], content),
        "pack key": make("content", "K_session", name, "salt"),
        "wal key": make("wal", "K_session", name, "salt"),
        "operator signer": derive("operator signer", v["operator identity"]),
        "document key": object_key("document", v["K_session"], bytes(8), bytes(8),
                                   v["plan name"].decode(), v["salt"]),
        "directory key": make("metadata", "K_meta", name + "#directory", "salt"),
        "header": header + struct.pack("<I", crc32c(header)),
        "frame": seal(v["pack key"], struct.pack("<BBHII", 0, 1, 0, 25, 41), content),
        "padded frame hash": hash_of(seal(make("content", "K_session", name, "padded salt"),
                                          struct.pack("<BBHII", 0, 0x88, 0, 25, 4112), padded)),
        "signer": signer.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw),
        "signature": signer.sign(content),
    }
    wrong = [name for name, value in checks.items() if v[name] != value]
    if open_frame(make("content", "K_session", name, "zstd salt"), zstd_object, 64, 1)[0] != content * 40:
        wrong.append("zstd frame")
    if not (verify(v["signer"], entry[:-64], entry[-64:]) and body == struct.pack("<I", 25) + content
            and head["sequence"] == 5 and key_bytes(head["signer"]) == v["signer"]):
        wrong.append("entry")
    need(not wrong, f"vectors that differ: {', '.join(wrong)}")
    print(f"{len(checks) + 2} vectors agree")

def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ 0x82F63B78 * (crc & 1)
    return crc ^ 0xFFFFFFFF


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("vault", nargs="?")
    parser.add_argument("--identity")
    parser.add_argument("--to")
    parser.add_argument("--vectors", metavar="PAGE")
    given = parser.parse_args()
    if given.vectors:
        sys.exit(check_vectors(given.vectors))
    vault = Vault(given.vault, given.identity)
    stores = {row["id"]: report(Store(vault, row), given.to) for row in vault.trust["stores"]}
    said = {"vault": vault.record["vault"], "trust": vault.trust["n"], "stores": stores}
    plans = {number: {"signer": signer, "files": {name: hash_of(data).hex() for name, data in files.items()}}
             for number, signer, files in vault.plans()}
    runs = {run: hash_of(lines).hex() for run, lines in vault.runs()}
    said |= {name: found for name, found in [("plans", plans), ("runs", runs)] if found}
    if given.to:
        for number, _, files in vault.plans():
            for name, data in files.items():
                put(given.to, f"plan/{number}/{name}", data)
        for run, lines in vault.runs():
            put(given.to, f"run/{run}.journal", lines)
    print(json.dumps(said, indent=1, sort_keys=True))
