#include "appliance/main/sandbox_selftest.hpp"

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <future>
#include <linux/io_uring.h>
#include <sched.h>
#include <string>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <vector>

#include "appliance/main/fence.hpp"
#include "core/run/uring_loop.hpp"

namespace fedgate {
namespace {

struct Row {
    std::string what;
    int error = 0;  // of what was tried; 0: it was done
};

bool is_denied(const Row& row) { return row.error == EPERM || row.error == EACCES; }

int error_of(long result) { return result < 0 ? errno : 0; }

// With arguments that mean nothing: what is not denied fails for another reason, and does no harm.
int error_of_call(long number) { return error_of(syscall(number, -1, -1, -1, -1, -1, -1)); }

// A child that was made ends at once.
int error_of_child(pid_t pid) {
    if (pid == 0) _exit(0);
    const int error = error_of(pid);
    if (pid > 0) waitpid(pid, nullptr, 0);
    return error;
}

int error_of_socket(int family, int type) {
    const int descriptor = socket(family, type | SOCK_CLOEXEC, 0);
    const int error = error_of(descriptor);
    if (descriptor >= 0) close(descriptor);
    return error;
}

int error_of_writable_code() {
    void* const memory = mmap(nullptr, 4'096, PROT_READ | PROT_WRITE | PROT_EXEC,
                              MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return memory == MAP_FAILED ? errno : 0;
}

int error_of_written_code() {
    void* const memory =
        mmap(nullptr, 4'096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return 0;
    return error_of(mprotect(memory, 4'096, PROT_READ | PROT_EXEC));
}

void try_processes(std::vector<Row>& rows) {
    char nobody[] = "";
    char* const none[] = {nullptr};
    rows.push_back({"another program (execve)", error_of(execve(nobody, none, none))});
    rows.push_back({"another program (execveat)", error_of_call(SYS_execveat)});
#ifdef SYS_fork
    rows.push_back(
        {"another process (fork)", error_of_child(static_cast<pid_t>(syscall(SYS_fork)))});
#endif
    rows.push_back({"another process (vfork)", error_of_child(vfork())});
    rows.push_back({"reading a process (process_vm_readv)", error_of_call(SYS_process_vm_readv)});
    rows.push_back(
        {"writing to a process (process_vm_writev)", error_of_call(SYS_process_vm_writev)});
    rows.push_back({"descriptors of a process (pidfd_getfd)", error_of_call(SYS_pidfd_getfd)});
}

void try_tracing(std::vector<Row>& rows) {
    rows.push_back({"another process (clone)",
                    error_of_child(static_cast<pid_t>(syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0)))});
    rows.push_back({"tracing a process (ptrace)", error_of_call(SYS_ptrace)});
}

void try_calls(std::vector<Row>& rows) {
    constexpr struct {
        const char* what;
        long number;
    } kCalls[] = {
        {"mounting (mount)", SYS_mount},
        {"unmounting (umount2)", SYS_umount2},
        {"mounting (fsopen)", SYS_fsopen},
        {"mounting (open_tree)", SYS_open_tree},
        {"mounting (move_mount)", SYS_move_mount},
        {"mounting (mount_setattr)", SYS_mount_setattr},
        {"another root (pivot_root)", SYS_pivot_root},
        {"another root (chroot)", SYS_chroot},
        {"a file by its handle (open_by_handle_at)", SYS_open_by_handle_at},
        {"a namespace (unshare)", SYS_unshare},
        {"a namespace (setns)", SYS_setns},
        {"a kernel module (init_module)", SYS_init_module},
        {"a kernel module (finit_module)", SYS_finit_module},
        {"a kernel module (delete_module)", SYS_delete_module},
        {"another kernel (kexec_load)", SYS_kexec_load},
        {"another kernel (kexec_file_load)", SYS_kexec_file_load},
        {"a restart of the machine (reboot)", SYS_reboot},
        {"a program in the kernel (bpf)", SYS_bpf},
        {"counters of the machine (perf_event_open)", SYS_perf_event_open},
        {"page faults (userfaultfd)", SYS_userfaultfd},
        {"the kernel's log (syslog)", SYS_syslog},
        {"the kernel's keys (keyctl)", SYS_keyctl},
        {"the kernel's keys (add_key)", SYS_add_key},
        {"swap (swapon)", SYS_swapon},
        {"swap (swapoff)", SYS_swapoff},
        {"the clock (clock_settime)", SYS_clock_settime},
        {"a file that is nowhere (memfd_create)", SYS_memfd_create},
        {"other rules for memory (personality)", SYS_personality},
    };
    for (const auto& call : kCalls) rows.push_back({call.what, error_of_call(call.number)});
    // What it is asked for can't be seen: it must not be there at all.
    const int error = error_of_call(SYS_clone3);
    rows.push_back({"another process (clone3)", error == ENOSYS ? EPERM : error});
    rows.push_back({"a thread with a network of its own (clone)",
                    error_of(syscall(SYS_clone, CLONE_THREAD | CLONE_NEWNET, 0, 0, 0, 0))});
#ifdef __x86_64__
    constexpr long kX32 = 0x40000000;
    rows.push_back({"calls of another architecture (x32)", error_of(syscall(kX32 + SYS_getpid))});
#endif
}

void try_memory_and_sockets(std::vector<Row>& rows) {
    rows.push_back({"memory to write and to run (mmap)", error_of_writable_code()});
    rows.push_back({"running what was written (mprotect)", error_of_written_code()});
    rows.push_back({"a raw socket, IPv4", error_of_socket(AF_INET, SOCK_RAW)});
    rows.push_back({"a raw socket, IPv6", error_of_socket(AF_INET6, SOCK_RAW)});
    rows.push_back({"a packet socket", error_of_socket(AF_PACKET, SOCK_DGRAM)});
    rows.push_back(
        {"a socket of the kernel's ciphers (AF_ALG)", error_of_socket(AF_ALG, SOCK_SEQPACKET)});
    rows.push_back(
        {"a socket of the machine's host (AF_VSOCK)", error_of_socket(AF_VSOCK, SOCK_STREAM)});
    // The kernel looks at 32 bits of it, a filter at 64.
    rows.push_back(
        {"a raw socket, with bits that nobody looks at",
         error_of(syscall(SYS_socket, AF_INET | (1LL << 40), SOCK_RAW | (1LL << 40), 1))});
}

std::vector<Row> try_all(UringLoop& loop) {
    std::vector<Row> rows;
    rows.push_back({"a new ring (io_uring_setup)", error_of_call(SYS_io_uring_setup)});
    rows.push_back({"registering files with a ring (io_uring_register)",
                    error_of(syscall(SYS_io_uring_register, -1, IORING_REGISTER_FILES, -1, -1))});
    rows.push_back(
        {"lifting a ring's fence (io_uring_register)",
         error_of(syscall(SYS_io_uring_register, -1, IORING_REGISTER_RESTRICTIONS, -1, -1))});
    for (const RingTrial& trial : loop.try_fence())
        rows.push_back({std::string(trial.what), trial.error});
    try_processes(rows);
    if (!kKeepsTracing) try_tracing(rows);
    try_calls(rows);
    try_memory_and_sockets(rows);
    return rows;
}

int print(const std::vector<Row>& rows) {
    std::size_t denied = 0;
    for (const Row& row : rows) {
        denied += is_denied(row) ? 1U : 0U;
        std::printf("  %-54s %s%s\n", row.what.c_str(),
                    is_denied(row) ? "denied: " : "NOT DENIED: ",
                    row.error == 0 ? "it was done" : std::strerror(row.error));
    }
    if (kKeepsTracing) std::puts("This build keeps clone and ptrace for its sanitizer.");
    std::printf("%zu of %zu are denied\n", denied, rows.size());
    return denied == rows.size() ? 0 : 1;
}

int fail(const Error& error) {
    std::fprintf(stderr, "fedgated: %s: %s\n", error.where, std::strerror(error.system));
    return 1;
}

}  // namespace

// As in the daemon: the ring is another thread's than the fence.
int test_sandbox() {
    std::promise<Result<void>> ring_made;
    std::promise<bool> fenced;
    std::vector<Row> rows;
    std::thread core([&] {
        auto loop = UringLoop::make();
        ring_made.set_value(loop ? Result<void>() : Failure{loop.error()});
        if (fenced.get_future().get()) rows = try_all(**loop);
    });
    Result<void> outcome = ring_made.get_future().get();
    if (outcome) outcome = fence_process();
    fenced.set_value(outcome.has_value());
    core.join();
    return outcome ? print(rows) : fail(outcome.error());
}

}  // namespace fedgate
