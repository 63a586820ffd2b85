// The file of an update: a head of 4 KiB, then a root, its hash tree and a kernel. The head is
// text:
//
//   fedgate update 1
//   version VERSION
//   serial NUMBER            more is newer
//   root BYTES SHA256        and the same for verity, kernel
//   signature HEX            Ed25519, of the lines before this one; then zeros to the head's end
//
// It is read as a stream from a file or a disk, nothing of it is believed before the signature is.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <string>

namespace appliance {

constexpr std::size_t kHeadBytes = 4096;
constexpr const char* kUpdateMagic = "fedgate update 1\n";

struct UpdatePart {
    std::string name;
    std::uint64_t offset = 0;
    std::uint64_t bytes = 0;
    std::string sha256;
};

struct Update {
    std::string version;
    std::uint64_t serial = 0;
    std::array<UpdatePart, 3> parts;  // root, verity, kernel
};

// All: empty, or in one sentence why not. key: 32 bytes in hex.
std::string read_head(int file, const std::string& key, Update& update);
// Whether it may follow the version that runs. The same again is no fault.
std::string fault_of_version(const Update& update, const std::string& running,
                             std::uint64_t serial);
// Gives the part's bytes to `take`, and says whether they were those that were signed.
std::string read_part(int file, const UpdatePart& part,
                      const std::function<std::string(const char*, std::size_t)>& take);

}  // namespace appliance
