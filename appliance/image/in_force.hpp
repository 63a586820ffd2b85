// The configuration that holds, and beside it the one that shall take its place. What is called
// /etc/fedgate, and the state of fedgated, a program of ours sees as it would be then.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "appliance/image/files.hpp"

namespace appliance {

constexpr const char* kState = "/var/lib/appliance";
constexpr const char* kInForce = "/var/lib/appliance/etc";
constexpr const char* kNew = "/var/lib/appliance/etc.new";
constexpr const char* kEtc = "/etc/fedgate";
constexpr const char* kDaemonState = "/var/lib/fedgate";
constexpr const char* kUser = "fedgate";

// All that return a text: empty, or an error's.
// An empty folder at kNew.
std::string make_new();
// Owned by fedgated, which nobody else may read.
std::string make_state(const fs::path& folder);
// What a program says where kNew is at kEtc, and state, if it is given, at kDaemonState. before: as
// in answer_of.
Answer answer_in_new(const std::vector<std::string>& command, const char* state = nullptr,
                     const std::function<bool()>& before = nullptr);
// What fedgated says to it, with the rights that it will have.
std::string fault_of_new(const char* state = nullptr);
std::string put_in_force();

}  // namespace appliance
