// Whatever a configuration file holds: each line is a setting or a problem that names the line.
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "core/config/file.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    using namespace fedgate::config;
    std::vector<Setting> settings;
    Problems problems;
    parse_settings({reinterpret_cast<const char*>(bytes), size}, "fuzz.conf", settings, problems);
    return 0;
}
