"""Fails when an #include goes against the folder DAG, or round a dependency's one door.

Usage: check_layers.py [ROOT], by default the repository of this file.
"""
import pathlib
import re
import sys

# Folder -> the folders (with all below them) whose headers it may include, besides its own.
MAY_INCLUDE = {
    "core/base": "", "core/run": "core/base", "core/rules": "core/base core/config",
    "core/config": "core/base",
    "net": "core/base core/run", "xml": "core/base core/rules", "sip": "core/base core/rules",
    "appliance/store": "core", "appliance/link": "core net xml sip",
    "appliance/edge": "core net xml appliance/link appliance/store",
    "appliance/gateway": "core net xml sip appliance/link appliance/store",
    "appliance/admin": "core net xml sip appliance/store",
    "appliance": "core net xml sip appliance",
    "bench": "core net xml sip appliance", "tests": "core net xml sip appliance bench",
}
# These take bytes and the present time as arguments: no socket, ring, TLS, thread, clock or DNS.
PURE = ("core/base", "core/rules", "xml", "sip")
SYSTEM_IO = re.compile(r"<(liburing|wolfssl/ssl|sys/|netinet/|arpa/|netdb|poll|thread|mutex|future)")
# Package -> the only files that may include it (folders or path prefixes).
DOORS = {
    "liburing": ("core/run",), "unbound": ("net/resolver",), "microhttpd": ("appliance/admin/http",),
    "wolfssl": ("net", "core/base/hash", "appliance/image/update_file"), "sqlite3": ("appliance/store",),
    "libpq": ("appliance/store",), "openssl": ("appliance/admin/pfx", "appliance/admin/sealed"),
    "seccomp": ("appliance/main/fence",),
}
# The same of a word: what its door adds to it is easily forgotten.
WORD_DOORS = {"__builtin_prefetch": ("core/base/prefetch",)}
INCLUDE = re.compile(r'\s*#\s*include\s+("([^"]+)/[^"/]+"|"[^"/]+"|<[^>]+>)')
TOPS = ("core", "net", "xml", "sip", "appliance", "bench", "tests")


def under(folder, roots):
    return any(folder == root or folder.startswith(root + "/") for root in roots)


def fault_of(path, here, match):
    """Why this include may not be here, or None."""
    name, folder = match[1], match[2]
    if here is None:
        return "a file outside the layers"
    if name.startswith('"') and folder is None:
        return f"{name} does not name its folder"
    if under(here, PURE) and SYSTEM_IO.search(name):
        return f"{here} is pure and may not include {name}"
    if folder and not under(folder, [here, *MAY_INCLUDE[here].split()]):
        return f"{here} may not include {name}"
    package = re.match(r"<(\w+)", name)
    doors = DOORS.get(package[1]) if package and here not in ("tests", "bench") else None
    if doors and not is_door(path, doors):
        return f"only {', '.join(doors)} may include {name}"
    return None


def is_door(path, doors):
    return any(path == d or path.startswith((d + ".", d + "/", d + "_")) for d in doors)


def fault_of_words(path, line):
    for word, doors in WORD_DOORS.items():
        if word in line and not is_door(path, doors):
            return f"only {', '.join(doors)} may say {word}"
    return None


def faults(root):
    paths = sorted(p for top in TOPS for p in (root / top).rglob("*.[ch]pp"))
    for path in paths:
        relative = path.relative_to(root)
        folder = relative.parent.as_posix()
        here = max((n for n in MAY_INCLUDE if under(folder, [n])), key=len, default=None)
        for number, line in enumerate(path.read_text().splitlines(), 1):
            match = INCLUDE.match(line)
            fault = (fault_of(relative.as_posix(), here, match) if match
                     else fault_of_words(relative.as_posix(), line))
            if fault:
                yield f"{relative}:{number}: {fault}"


def main():
    root = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path(__file__).parents[2]
    found = list(faults(root))
    print("\n".join(found) or "layers: no fault")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
