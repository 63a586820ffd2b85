// The first program of the appliance, alone in the initial file system: loads the modules that are
// named in /modules, finds the slot that the command line speaks of, puts dm-verity over it, mounts
// it read-only and /var beside it, and becomes systemd. It has no shell and no second way: at any
// fault it ends, the kernel panics and starts again, and one try of this version is spent.
//
// Static and without the C++ library. The command line has fedgate.{blocks,salt,hash,uuid}: of the
// root's hash tree, whose super block has the same uuid.
#include <cerrno>
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dirent.h>
#include <fcntl.h>
#include <initializer_list>
#include <linux/dm-ioctl.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

namespace {

constexpr int kDiskPolls = 1500;  // of 20 ms: the disk is there within 30 s
constexpr std::size_t kTextSize = 4096;
constexpr const char* kNewRoot = "/root";
constexpr const char* kEmptyVar = "/root/usr/share/fedgate/var.ext4";

using Text = char[kTextSize];

__attribute__((format(printf, 1, 2))) void say(const char* format, ...) {
    Text text;
    va_list values;
    va_start(values, format);
    std::vsnprintf(text, sizeof text, format, values);
    va_end(values);
    const int kernel_log = open("/dev/kmsg", O_WRONLY | O_CLOEXEC);
    dprintf(kernel_log >= 0 ? kernel_log : STDERR_FILENO, "<3>fedgate init: %s\n", text);
    if (kernel_log >= 0) close(kernel_log);
}

#define MUST(what, call)                                              \
    do {                                                              \
        if (!(call)) {                                                \
            say("%s: %s", what, errno != 0 ? strerror(errno) : "no"); \
            _exit(1);                                                 \
        }                                                             \
    } while (false)

// The file's text without the end of its last line; empty: there is none.
void read_text(const char* path, Text& into) {
    const int file = open(path, O_RDONLY | O_CLOEXEC);
    const ssize_t size = file >= 0 ? read(file, into, sizeof into - 1) : 0;
    if (file >= 0) close(file);
    into[size > 0 ? size : 0] = 0;
    if (size > 0 && into[size - 1] == '\n') into[size - 1] = 0;
}

void write_text(const char* path, const char* text) {
    const int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0444);
    if (file < 0) return;
    if (write(file, text, std::strlen(text)) > 0) fsync(file);
    close(file);
}

// Each line of /modules is a path, what a module needs before it. A machine has not all of the
// devices.
void load_modules() {
    Text path;
    std::FILE* list = std::fopen("/modules", "re");
    MUST("/modules", list != nullptr);
    while (std::fgets(path, sizeof path, list) != nullptr) {
        path[std::strcspn(path, "\n")] = 0;
        const int file = open(path, O_RDONLY | O_CLOEXEC);
        MUST(path, file >= 0);
        if (syscall(SYS_finit_module, file, "", 0) != 0 && errno != EEXIST && errno != ENODEV) {
            say("%s: %s", path, strerror(errno));
        }
        close(file);
        unlink(path);  // its memory is the machine's
    }
    std::fclose(list);
}

// The value of a word NAME=VALUE of the kernel's command line.
void read_argument(const char* name, char* into, std::size_t size) {
    Text line;
    read_text("/proc/cmdline", line);
    char* rest = nullptr;
    for (char* word = strtok_r(line, " ", &rest); word; word = strtok_r(nullptr, " ", &rest)) {
        const std::size_t length = std::strlen(name);
        if (std::strncmp(word, name, length) == 0 && word[length] == '=') {
            MUST(name, std::snprintf(into, size, "%s", word + length + 1) < static_cast<int>(size));
            return;
        }
    }
    errno = 0;
    MUST(name, false);
}

// Whether the hash tree on this device is the one of the command line.
bool has_uuid(const char* device, const char* wanted) {
    unsigned char block[32];
    const int file = open(device, O_RDONLY | O_CLOEXEC);
    const bool is_read = file >= 0 && read(file, block, sizeof block) == sizeof block;
    if (file >= 0) close(file);
    if (!is_read || std::memcmp(block, "verity\0\0", 8) != 0) return false;
    char uuid[33];
    for (int i = 0; i < 16; ++i) std::snprintf(uuid + 2 * i, 3, "%02x", block[16 + i]);
    return std::strcmp(uuid, wanted) == 0;
}

// Of a partition's name, vda2: the disk's, vda.
bool disk_of(const char* partition, char* disk, std::size_t size) {
    Text path, target;
    std::snprintf(path, sizeof path, "/sys/class/block/%s", partition);
    const ssize_t length = readlink(path, target, sizeof target - 1);
    if (length <= 0) return false;
    target[length] = 0;
    char* const last = std::strrchr(target, '/');
    if (last == nullptr) return false;
    *last = 0;
    const char* const parent = std::strrchr(target, '/');
    return parent != nullptr &&
           std::snprintf(disk, size, "%s", parent + 1) < static_cast<int>(size);
}

// The device of the partition with this GPT label, as /dev/vda2. disk: on this one, and otherwise
// on any that `wanted_uuid` is of.
bool find_partition(const char* label, const char* disk, const char* wanted_uuid, char* device,
                    std::size_t size) {
    DIR* const devices = opendir("/sys/class/block");
    if (devices == nullptr) return false;
    bool found = false;
    while (const dirent* entry = found ? nullptr : readdir(devices)) {
        Text path, uevent, wanted;
        std::snprintf(path, sizeof path, "/sys/class/block/%s/uevent", entry->d_name);
        read_text(path, uevent);
        std::snprintf(wanted, sizeof wanted, "\nPARTNAME=%s", label);
        const char* const at = std::strstr(uevent, wanted);
        const char end = at ? at[std::strlen(wanted)] : 'x';
        found = (end == 0 || end == '\n') &&
                std::snprintf(device, size, "/dev/%s", entry->d_name) < static_cast<int>(size);
        char on[64];
        if (found && disk != nullptr)
            found = disk_of(entry->d_name, on, sizeof on) && std::strcmp(on, disk) == 0;
        if (found && wanted_uuid != nullptr) found = has_uuid(device, wanted_uuid);
    }
    closedir(devices);
    return found;
}

// Waits for the disk; returns the letter of the slot that holds this version.
char find_slot(char* root, char* verity, char* disk, std::size_t size) {
    char uuid[64];
    read_argument("fedgate.uuid", uuid, sizeof uuid);
    for (int i = 0; i < kDiskPolls; ++i) {
        for (const char slot : {'a', 'b'}) {
            char label[16];
            std::snprintf(label, sizeof label, "verity-%c", slot);
            if (!find_partition(label, nullptr, uuid, verity, size) ||
                !disk_of(verity + std::strlen("/dev/"), disk, size))
                continue;
            std::snprintf(label, sizeof label, "root-%c", slot);
            if (find_partition(label, disk, nullptr, root, size)) return slot;
        }
        usleep(20'000);
    }
    errno = 0;
    MUST("no partition has the root of this version", false);
    return 0;
}

struct Verity {
    dm_ioctl head;
    dm_target_spec target;
    char parameters[1024];
};

void control(int mapper, unsigned long request, Verity& verity, std::uint32_t flags) {
    verity.head.version[0] = DM_VERSION_MAJOR;
    verity.head.data_size = sizeof verity;
    verity.head.data_start = sizeof verity.head;
    verity.head.flags = flags;
    std::strcpy(verity.head.name, "root");
    MUST("dm-verity", ioctl(mapper, request, &verity) == 0);
}

// /dev/dm-0 is then the root, each block of which is verified when it is read.
void put_verity(const char* root, const char* hashes) {
    char blocks[32], salt[160], hash[80];
    read_argument("fedgate.blocks", blocks, sizeof blocks);
    read_argument("fedgate.salt", salt, sizeof salt);
    read_argument("fedgate.hash", hash, sizeof hash);
    const int mapper = open("/dev/mapper/control", O_RDWR | O_CLOEXEC);
    MUST("/dev/mapper/control", mapper >= 0);
    static Verity verity;
    control(mapper, DM_DEV_CREATE, verity, 0);
    verity = {};
    verity.head.target_count = 1;
    verity.target.length = std::strtoull(blocks, nullptr, 10) * 8;
    std::strcpy(verity.target.target_type, "verity");
    std::snprintf(verity.parameters, sizeof verity.parameters,
                  "1 %s %s 4096 4096 %s 1 sha256 %s %s 1 panic_on_corruption", root, hashes, blocks,
                  hash, salt);
    control(mapper, DM_TABLE_LOAD, verity, DM_READONLY_FLAG);
    verity = {};
    control(mapper, DM_DEV_SUSPEND, verity, 0);  // without the flag of suspending: resumes
    close(mapper);
}

constexpr unsigned long kVarFlags = MS_NODEV | MS_NOSUID | MS_NOEXEC;

// Zero, or why not.
int fault_of_var(const char* device) {
    const bool is_mounted = mount(device, "/root/var", "ext4", kVarFlags, "errors=remount-ro") == 0;
    return is_mounted ? 0 : errno;
}

// Puts the empty file system, which the root has, over what is damaged. Its beginning comes last:
// what is stopped before is still damaged, and is done again.
bool renew_var(const char* device) {
    static char block[64 << 10];
    const int from = open(kEmptyVar, O_RDONLY | O_CLOEXEC);
    const int to = open(device, O_WRONLY | O_CLOEXEC);
    const auto copy = [&](off_t at) {
        const ssize_t size = pread(from, block, sizeof block, at);
        return size > 0 && pwrite(to, block, size, at) != size ? -1 : size;
    };
    off_t at = sizeof block;
    ssize_t size = 0;
    while ((size = copy(at)) > 0) at += size;
    const bool is_new = size == 0 && fsync(to) == 0 && copy(0) == sizeof block && fsync(to) == 0;
    if (from >= 0) close(from);
    if (to >= 0) close(to);
    return is_new;
}

// What outlives a start. What is there and is no file system any more is made anew, empty; with a
// disk that can't be read or written the relay goes on with memory. The status says so.
void mount_var(char slot, const char* disk) {
    char device[64];
    const bool found = find_partition("var", disk, nullptr, device, sizeof device);
    int fault = found ? fault_of_var(device) : ENOENT;
    const bool is_damaged = fault == EINVAL || fault == EUCLEAN || fault == EBADMSG;
    if (is_damaged && renew_var(device)) {
        const char* const why = strerror(fault);
        say("/var: %s: it is made anew, and what it had is lost", why);
        fault = fault_of_var(device);
        if (fault == 0) write_text("/run/appliance/var.new", why);
    }
    if (fault != 0) {
        const char* const why = found ? strerror(fault) : "no such partition";
        say("/var: %s", why);
        MUST("/var", mount("var", "/root/var", "tmpfs", kVarFlags, "size=64m,mode=755") == 0);
        write_text("/run/appliance/var", why);
    }
    const char name[] = {slot, 0};
    write_text("/run/appliance/slot", name);
    write_text("/run/appliance/disk", disk);
}

// The machine's name for itself, made at its first start. With a full /var it is for this start
// only.
void bind_machine_id() {
    const char* path = "/root/var/lib/appliance/machine-id";
    mkdir("/root/var/lib", 0755);
    mkdir("/root/var/lib/appliance", 0755);
    Text id, kept;
    read_text(path, id);
    if (std::strlen(id) != 32) {
        unsigned char bytes[16];
        MUST("random numbers", getrandom(bytes, sizeof bytes, 0) == sizeof bytes);
        bytes[6] =
            static_cast<unsigned char>((bytes[6] & 0x0f) | 0x40);  // as a UUID of random numbers
        bytes[8] = static_cast<unsigned char>((bytes[8] & 0x3f) | 0x80);
        for (int i = 0; i < 16; ++i) std::snprintf(id + 2 * i, 3, "%02x", bytes[i]);
        std::strcat(id, "\n");
        write_text(path, id);
        read_text(path, kept);
        if (std::strlen(kept) != 32) {
            path = "/run/appliance/machine-id";
            write_text(path, id);
        }
    }
    MUST("machine-id", mount(path, "/root/etc/machine-id", nullptr, MS_BIND, nullptr) == 0);
}

void become_systemd() {
    for (const char* name : {"/dev", "/proc", "/sys", "/run"}) {
        Text to;
        std::snprintf(to, sizeof to, "%s%s", kNewRoot, name);
        MUST(to, mount(name, to, nullptr, MS_MOVE, nullptr) == 0);
    }
    MUST("the new root", chdir(kNewRoot) == 0 && mount(".", "/", nullptr, MS_MOVE, nullptr) == 0 &&
                             chroot(".") == 0);
    execl("/usr/lib/systemd/systemd", "/usr/lib/systemd/systemd", nullptr);
    MUST("systemd", false);
}

}  // namespace

int main() {
    MUST("/dev", mount("dev", "/dev", "devtmpfs", MS_NOSUID, "mode=755") == 0);
    MUST("/proc", mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr) == 0);
    MUST("/sys", mount("sys", "/sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr) == 0);
    MUST("/run", mount("run", "/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=755,size=20%") == 0);
    MUST("/run/appliance", mkdir("/run/appliance", 0755) == 0);
    load_modules();
    char root[64], hashes[64], disk[64];
    const char slot = find_slot(root, hashes, disk, sizeof root);
    put_verity(root, hashes);
    MUST("root",
         mount("/dev/dm-0", kNewRoot, "squashfs", MS_RDONLY | MS_NODEV | MS_NOSUID, nullptr) == 0);
    mount_var(slot, disk);
    bind_machine_id();
    become_systemd();
}
