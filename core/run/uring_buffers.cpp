#include "core/run/uring_buffers.hpp"

#include <cerrno>
#include <sys/mman.h>

namespace fedgate {
namespace {

void* map(std::size_t size) {
    void* memory = mmap(nullptr, size, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return memory == MAP_FAILED ? nullptr : memory;
}

}  // namespace

int UringBuffers::open(io_uring& ring, unsigned group, unsigned offered, unsigned count,
                       std::size_t bytes) {
    FEDGATE_CHECK(offered > 0 && (offered & (offered - 1)) == 0 && offered <= 32'768);
    FEDGATE_CHECK(count >= offered && count <= 65'536);
    ring_bytes_ = offered * sizeof(io_uring_buf);
    bytes_ = bytes;
    count_ = count;
    offered_max_ = offered;
    void* entries = map(ring_bytes_);
    memory_ = static_cast<char*>(map(count * bytes));
    if (entries == nullptr || memory_ == nullptr) return ENOMEM;
    ring_ = static_cast<io_uring_buf_ring*>(entries);
    io_uring_buf_reg registration{};
    registration.ring_addr = reinterpret_cast<std::uintptr_t>(ring_);
    registration.ring_entries = offered;
    registration.bgid = static_cast<std::uint16_t>(group);
    const int result = io_uring_register_buf_ring(&ring, &registration, 0);
    if (result != 0) return -result;
    io_uring_buf_ring_init(ring_);
    free_.reserve(count);
    for (unsigned id = count; id-- > 0;) free_.push_back(static_cast<std::uint16_t>(id));
    offer();
    return 0;
}

// The ring itself must be gone: the kernel writes here until then.
UringBuffers::~UringBuffers() {
    if (memory_ != nullptr) munmap(memory_, count_ * bytes_);
    if (ring_ != nullptr) munmap(ring_, ring_bytes_);
}

void UringBuffers::offer() {
    const int mask = io_uring_buf_ring_mask(offered_max_);
    int added = 0;
    while (offered_ < offered_max_ && !free_.empty()) {
        const std::uint16_t id = free_.back();
        free_.pop_back();
        io_uring_buf_ring_add(ring_, at(id, bytes_).data(), static_cast<unsigned>(bytes_), id, mask,
                              added++);
        ++offered_;
    }
    if (added > 0) io_uring_buf_ring_advance(ring_, added);
}

}  // namespace fedgate
