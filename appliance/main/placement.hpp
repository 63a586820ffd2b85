// Where the threads of cores run: is there such a core, and such a CPU? Pure.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/rules/snapshot.hpp"

namespace fedgate {

// Of the first value that can't be held to; empty: each can. `cores`: how many threads there are,
// or will be.
[[nodiscard]] std::string fault_of_placement(const rules::Settings&, std::uint32_t cores,
                                             const config::CpuSet& usable);
// The same of what is in force, as it has become: what is left of it.
[[nodiscard]] std::vector<std::string> remarks_of_placement(const rules::Settings&,
                                                            std::uint32_t cores,
                                                            const config::CpuSet& usable);
// The kernel refuses it (an errno) to these cores; empty: to none.
[[nodiscard]] std::string remark_of_refusal(const std::vector<std::uint32_t>& cores, int why);

}  // namespace fedgate
