#include "appliance/main/placement.hpp"

#include <gtest/gtest.h>

namespace fedgate {
namespace {

TEST(Placement, SaysWhichCoresAndCpusThereAre) {
    rules::Settings settings;
    const config::CpuSet usable{0, 1, 4};
    EXPECT_EQ(fault_of_placement(settings, 2, usable), "");
    settings.cores.every = {0, 4};
    settings.cores.own[1] = {1};
    EXPECT_EQ(fault_of_placement(settings, 2, usable), "");
    EXPECT_EQ(fault_of_placement(settings, 1, usable),
              "core.1.cpu: there is no core 1; there are cores 0 to 0 (core.threads)");
    settings.cores.own[1] = {1, 2, 3, 5};
    EXPECT_EQ(fault_of_placement(settings, 2, usable),
              "core.1.cpu: there is no CPU 2-3,5 that this process may use; there is 0-1,4");
    settings.cores.every = {7};
    EXPECT_EQ(fault_of_placement(settings, 2, usable),
              "core.*.cpu: there is no CPU 7 that this process may use; there is 0-1,4");
}

// A machine that has fewer CPUs than before still serves.
TEST(Placement, RemarksWhatHasGone) {
    rules::Settings settings;
    settings.cores.every = {0, 9};
    settings.cores.own[1] = {8};
    settings.cores.own[2] = {1};
    EXPECT_EQ(remarks_of_placement(settings, 3, {0, 1}),
              (std::vector<std::string>{
                  "core.0.cpu = 0,9: this process may not use CPU 9; the core runs on the others",
                  "core.1.cpu = 8: this process may not use CPU 8; the core runs as if nothing "
                  "were set"}));
}

}  // namespace
}  // namespace fedgate
