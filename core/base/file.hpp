// A whole file, of a bounded size. Waits for the disk: for the control thread and tools.
#pragma once

#include <string>

namespace fedgate {

// Appends to `text`. False: `why` goes on from the file's name.
[[nodiscard]] bool read_file(const std::string& path, std::string& text, std::string& why);
// The same, and not from a pipe or a device: one might wait for it for ever.
[[nodiscard]] bool read_regular_file(const std::string& path, std::string& text, std::string& why);

}  // namespace fedgate
