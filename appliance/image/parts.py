"""What an image is made of, made the same each time: hash tree, initial file system, kernel file, disk."""
import hashlib
import os
import pathlib
import re
import stat
import struct
import subprocess
import uuid

SECTOR, MIB = 512, 1 << 20
HEAD_BYTES = 4096    # of an update: appliance/image/update_file.hpp
NAMESPACE = uuid.UUID("5a3d5f9e-6f4e-4a65-9a53-0d1f0c9a7f11")    # of all identifiers that are made of a name
TYPE_ESP, TYPE_LINUX = "C12A7328-F81F-11D2-BA4B-00A0C93EC93B", "0FC63DAF-8483-4772-8E79-3D69D8477DE4"
# Label, type, MiB. The first begins at 1 MiB.
PARTITIONS = [("ESP", TYPE_ESP, 96), ("root-a", TYPE_LINUX, 96), ("verity-a", TYPE_LINUX, 2), ("root-b", TYPE_LINUX, 96),
              ("verity-b", TYPE_LINUX, 2), ("var", TYPE_LINUX, 64)]
# no_timer_check: on a machine that is short of time the check fails, and the start with it.
COMMAND_LINE = ("console=tty0 console=ttyS0,115200 ro quiet loglevel=4 lockdown=integrity slab_nomerge init_on_free=1 "
                "page_alloc.shuffle=1 vsyscall=none debugfs=off randomize_kstack_offset=on oops=panic panic=5 "
                "no_timer_check systemd.gpt_auto=0 systemd.show_status=0")


class Fault(Exception):
    """What is wrong, in one sentence."""


def run(*command, **options):
    """Its standard output, as bytes."""
    done = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          check=False, **options)
    if done.returncode != 0:
        last = (done.stderr or done.stdout).decode(errors="replace").strip().splitlines()[-5:]
        raise Fault(f"{command[0]} failed: " + " / ".join(last))
    return done.stdout


def text_of(*command, **options):
    return run(*command, **options).decode().strip()


def kept():
    """The folder of what outlives a build, as in tests/setup."""
    cache = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    return pathlib.Path(os.environ.get("FEDGATE_CACHE") or pathlib.Path(cache) / "fedgate")


def identifier(*words):
    return str(uuid.uuid5(NAMESPACE, "/".join(words)))


def offset_of(label):
    """Of a partition, in bytes of the disk."""
    labels = [name for name, _, _ in PARTITIONS]
    return (1 + sum(size for _, _, size in PARTITIONS[:labels.index(label)])) * MIB


def size_of(label):
    return next(size * MIB for name, _, size in PARTITIONS if name == label)


def os_release(version, order=None):
    """order: what the boot loader compares, of two kernel files."""
    return (f'NAME="Fedgate appliance"\nID=fedgate\nID_LIKE=debian\nVERSION_ID="{order or version}"\n'
            f'PRETTY_NAME="Fedgate appliance {version}"\nIMAGE_ID=fedgate\nIMAGE_VERSION="{order or version}"\n')


def make_squashfs(folder, image, level):
    image.unlink(missing_ok=True)
    run("mksquashfs", folder, image, "-noappend", "-all-root", "-no-xattrs", "-comp", "zstd", "-Xcompression-level", level,
        "-no-progress", "-quiet")
    with open(image, "ab") as file:
        file.write(bytes(-file.tell() % 4096))
    if image.stat().st_size > size_of("root-a"):
        raise Fault(f"the root has {image.stat().st_size} bytes, and its partition {size_of('root-a')}")


def make_verity(image, tree, version, serial):
    """The hash tree of a root; returns the command line that names it."""
    tree.unlink(missing_ok=True)
    with open(image, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    # One version, one pair of these: the start finds its slot by the identifier.
    name = identifier("verity", version, digest)
    salt = hashlib.sha256(f"fedgate {version}".encode()).hexdigest()
    told = text_of("veritysetup", "format", image, tree, f"--salt={salt}", f"--uuid={name}")
    root_hash = re.search(r"Root hash:\s*([0-9a-f]{64})", told)[1]
    tree.chmod(0o644)
    run("veritysetup", "verify", image, tree, root_hash)
    return (f"{COMMAND_LINE} fedgate.version={version} fedgate.serial={serial} fedgate.blocks={image.stat().st_size // 4096} fedgate.salt={salt} "
            f"fedgate.hash={root_hash} fedgate.uuid={name.replace('-', '')}")


def archive_of(folders, files, epoch):
    """A cpio archive (newc), all of it root's. files: (name, content, mode)."""
    archive = b""

    def add(number, name, content, mode):
        nonlocal archive
        head = [number, mode, 0, 0, 1, epoch, len(content), 0, 0, 0, 0, len(name) + 1, 0]
        archive += b"070701" + b"".join(b"%08X" % value for value in head) + name.encode() + b"\0"
        archive += bytes(-len(archive) % 4) + content
        archive += bytes(-len(archive) % 4)

    for number, name in enumerate(folders, 1):
        add(number, name, b"", stat.S_IFDIR | 0o755)
    for number, (name, content, mode) in enumerate(files, len(folders) + 1):
        add(number, name, content, stat.S_IFREG | mode)
    add(0, "TRAILER!!!", b"", 0)
    return archive


def make_kernel_file(stub, sections, target, epoch):
    """Stub, kernel, initial file system and command line in one signable file. sections: name -> file."""
    present = re.findall(r"^\s*\d+\s+\S+\s+([0-9a-f]+)\s+([0-9a-f]+)", text_of("objdump", "-h", stub), re.M)
    offset = max(int(size, 16) + int(address, 16) for size, address in present)
    command = ["objcopy"]
    for name, path in sections.items():
        offset = -(-offset // 0x10000) * 0x10000
        command += ["--add-section", f"{name}={path}", "--change-section-vma", f"{name}={offset:#x}"]
        offset += pathlib.Path(path).stat().st_size
    run(*command, stub, target)
    # objcopy writes the time of day and a sum that nobody looks at.
    content = bytearray(target.read_bytes())
    head = struct.unpack_from("<I", content, 0x3c)[0]
    struct.pack_into("<I", content, head + 8, epoch)
    struct.pack_into("<I", content, head + 24 + 64, 0)
    target.write_bytes(content)


def signing_key(path):
    """Of updates: Ed25519, made when it is not there. Returns the public half, in hex."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        run("openssl", "genpkey", "-algorithm", "ed25519", "-out", path)
        path.chmod(0o600)
    return run("openssl", "pkey", "-in", path, "-pubout", "-outform", "DER")[-32:].hex()


def make_update(target, version, serial, contents, key, work):
    """contents: files for root, verity, kernel. key: None leaves the signature out."""
    text = f"fedgate update 1\nversion {version}\nserial {serial}\n"
    for name in ("root", "verity", "kernel"):
        data = contents[name].read_bytes()
        text += f"{name} {len(data)} {hashlib.sha256(data).hexdigest()}\n"
    if key:
        plain = work / "update.text"
        plain.write_text(text)
        text += f"signature {run('openssl', 'pkeyutl', '-sign', '-rawin', '-inkey', key, '-in', plain).hex()}\n"
    with open(target, "wb") as file:
        file.write(text.encode().ljust(HEAD_BYTES, b"\0"))
        for name in ("root", "verity", "kernel"):
            file.write(contents[name].read_bytes())
        file.write(bytes(-file.tell() % SECTOR))    # it may be used as a disk


def secure_boot_keys(folder):
    """One's own, for machines that shall start nothing else; made when they are not there."""
    if (folder / "db.auth").exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    for name, by in (("PK", "PK"), ("KEK", "PK"), ("db", "KEK")):
        run("openssl", "req", "-new", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "7300", "-sha256", "-subj", f"/CN=Fedgate {name}",
            "-keyout", folder / f"{name}.key", "-out", folder / f"{name}.crt")
        (folder / f"{name}.key").chmod(0o600)
        guid = ("-g", identifier("secure boot"))
        run("cert-to-efi-sig-list", *guid, folder / f"{name}.crt", folder / f"{name}.esl")
        run("sign-efi-sig-list", *guid, "-k", folder / f"{by}.key", "-c", folder / f"{by}.crt", name, folder / f"{name}.esl",
            folder / f"{name}.auth")


def sign_program(path, folder):
    """For the firmware, in place."""
    run("sbsign", "--key", folder / "db.key", "--cert", folder / "db.crt", "--output", path, path)


def write_sparse(disk, offset, content):
    """A file's content into an open disk, without its zeros."""
    with open(content, "rb") as source:
        position = offset
        while block := source.read(MIB):
            if block.strip(b"\0"):
                disk.seek(position)
                disk.write(block)
            position += len(block)


def make_disk(disk, contents):
    """contents: label -> file, for those partitions that are not empty."""
    disk.unlink(missing_ok=True)
    script = f"label: gpt\nlabel-id: {identifier('disk')}\nsector-size: {SECTOR}\n"
    with open(disk, "wb") as file:
        file.truncate((2 + sum(size for _, _, size in PARTITIONS)) * MIB)
        for label, kind, size in PARTITIONS:
            script += (f"start={offset_of(label) // SECTOR}, size={size * MIB // SECTOR}, type={kind}, "
                       f'uuid={identifier("partition", label)}, name="{label}"\n')
            if label in contents:
                write_sparse(file, offset_of(label), contents[label])
    run("sfdisk", "--quiet", "--no-reread", "--no-tell-kernel", disk, input=script.encode())
