#include "appliance/main/fence.hpp"

#include <cerrno>
#include <cstdint>
#include <initializer_list>
#include <linux/io_uring.h>
#include <memory>
#include <sched.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/socket.h>

#include <seccomp.h>

namespace fedgate {
namespace {

// Never called by us or a library of ours. By name: a machine that has not all of them has no
// number for some.
constexpr const char* kNeverCalled[] = {
    // other programs, other processes
    "execve", "execveat", "fork", "vfork", "process_vm_readv", "process_vm_writev",
    "process_madvise", "pidfd_getfd", "kcmp",
    // a ring that has no fence (core/run/uring_fence.hpp)
    "io_uring_setup",
    // mounts and roots
    "mount", "umount2", "pivot_root", "chroot", "fsopen", "fsconfig", "fsmount", "fspick",
    "open_tree", "move_mount", "mount_setattr", "open_by_handle_at", "swapon", "swapoff",
    "quotactl", "quotactl_fd",
    // namespaces
    "unshare", "setns",
    // the kernel's own: modules, programs in it, its start, its log, ports
    "init_module", "finit_module", "delete_module", "kexec_load", "kexec_file_load", "reboot",
    "bpf", "perf_event_open", "userfaultfd", "syslog", "acct", "iopl", "ioperm", "modify_ldt",
    "lookup_dcookie",
    // its keys
    "keyctl", "add_key", "request_key",
    // the clock
    "settimeofday", "clock_settime", "adjtimex", "clock_adjtime",
    // memory that is run without being a file, and other rules for memory
    "memfd_create", "memfd_secret", "personality", "uselib"};
constexpr std::uint64_t kNamespaces[] = {CLONE_NEWUSER, CLONE_NEWPID,    CLONE_NEWNS, CLONE_NEWNET,
                                         CLONE_NEWIPC,  CLONE_NEWCGROUP, CLONE_NEWUTS};
constexpr std::uint64_t kSocketTypes = 0xf;  // the rest are flags
constexpr std::uint64_t kSocketPacket = 10;  // SOCK_PACKET: an old name of AF_PACKET

// Arguments are compared with all their 64 bits, also where the kernel looks at 32 only: a rule
// must not be got round by bits that it does not look at.
class Filter {
public:
    Filter() : context_(seccomp_init(SCMP_ACT_ALLOW), seccomp_release) {
        if (context_ == nullptr) error_ = ENOMEM;
    }

    void set(scmp_filter_attr attribute, std::uint32_t value) {
        if (error_ == 0) error_ = -seccomp_attr_set(context_.get(), attribute, value);
    }
    void deny(const char* call, std::initializer_list<scmp_arg_cmp> when = {},
              std::uint32_t action = SCMP_ACT_ERRNO(EPERM)) {
        if (error_ != 0) return;
        const int number = seccomp_syscall_resolve_name(call);
        if (number == __NR_SCMP_ERROR) return;  // libseccomp has never heard of it: nobody has it
        error_ = -seccomp_rule_add_array(context_.get(), action, number,
                                         static_cast<unsigned>(when.size()), when.begin());
    }
    Result<void> load() {
        if (error_ == 0) error_ = -seccomp_load(context_.get());
        if (error_ == 0) return {};
        return failure(Errc::kSystem, "system calls can't be restricted", error_);
    }

private:
    std::unique_ptr<void, decltype(&seccomp_release)> context_;
    int error_ = 0;
};

scmp_arg_cmp compare(unsigned argument, scmp_compare how, std::uint64_t value) {
    return {argument, how, value, 0};
}

// Of the bits in `mask`, those of `value` are set and no others.
scmp_arg_cmp bits(unsigned argument, std::uint64_t mask, std::uint64_t value) {
    return {argument, SCMP_CMP_MASKED_EQ, mask, value};
}

void deny_tracing(Filter& filter) {
    filter.deny("ptrace");
    filter.deny("clone", {bits(0, CLONE_THREAD, 0)});
}

// What clone3 is asked for is in memory, which a filter does not see. The C library takes clone
// then.
void deny_namespaces(Filter& filter) {
    for (const std::uint64_t one : kNamespaces) filter.deny("clone", {bits(0, one, one)});
    filter.deny("clone3", {}, SCMP_ACT_ERRNO(ENOSYS));
}

void deny_code(Filter& filter) {
    constexpr std::uint64_t kBoth = PROT_WRITE | PROT_EXEC;
    filter.deny("mmap", {bits(2, kBoth, kBoth)});
    // What was written is not made code later. Libraries are mapped as code from the beginning.
    for (const char* call : {"mprotect", "pkey_mprotect"})
        filter.deny(call, {bits(2, PROT_EXEC, PROT_EXEC)});
    filter.deny("shmat", {bits(2, SHM_EXEC, SHM_EXEC)});
}

// getaddrinfo() asks the kernel by netlink which addresses there are.
void deny_sockets(Filter& filter) {
    for (std::uint64_t family = AF_UNSPEC; family < AF_NETLINK; ++family) {
        const bool used = family == AF_UNIX || family == AF_INET || family == AF_INET6;
        if (!used) filter.deny("socket", {compare(0, SCMP_CMP_EQ, family)});
    }
    filter.deny("socket", {compare(0, SCMP_CMP_GT, AF_NETLINK)});
    filter.deny("socket", {compare(0, SCMP_CMP_NE, AF_NETLINK), bits(1, kSocketTypes, SOCK_RAW)});
    filter.deny("socket", {bits(1, kSocketTypes, kSocketPacket)});
}

// As the rings' own fences have it. Bit 31 says by which number the ring is called, which newer
// libraries do by that of a registered one.
void deny_registrations(Filter& filter) {
    constexpr std::uint64_t kWhich = 0x7fff'ffff;
    constexpr std::uint64_t kSmall = 0x3f;
    static_assert(IORING_REGISTER_PBUF_RING <= kSmall);
    for (std::uint64_t one = 0; one <= kSmall; ++one) {
        if (one == IORING_UNREGISTER_RING_FDS || one == IORING_REGISTER_PBUF_RING) continue;
        filter.deny("io_uring_register", {bits(1, kWhich, one)});
    }
    for (std::uint64_t bit = kSmall + 1; bit < kWhich; bit <<= 1)
        filter.deny("io_uring_register", {bits(1, bit, bit)});
}

}  // namespace

Result<void> fence_process() {
    Filter filter;
    filter.set(SCMP_FLTATR_CTL_TSYNC, 1);  // all threads at once, or none
    filter.set(SCMP_FLTATR_CTL_OPTIMIZE, 2);
    filter.set(SCMP_FLTATR_API_SYSRAWRC, 1);
    // Calls of another architecture have other numbers.
    filter.set(SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ERRNO(EPERM));
    for (const char* call : kNeverCalled) filter.deny(call);
    if (!kKeepsTracing) deny_tracing(filter);
    deny_namespaces(filter);
    deny_code(filter);
    deny_sockets(filter);
    deny_registrations(filter);
    return filter.load();
}

}  // namespace fedgate
