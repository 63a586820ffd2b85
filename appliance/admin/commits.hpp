// Commits: changes of the configuration that outlive the process. Each is one text file in
// dirs.state/commits, named by its number, which holds all that is committed from then on in the
// syntax of configuration files, and for each setting the commit that made it; a digest tells a
// damaged file. So each stands alone: to go back is to commit an earlier one again. Control thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/config/tree.hpp"

namespace fedgate::admin {

struct Commit {
    std::uint64_t number = 0;  // 0: nothing was ever committed
    std::string author;
    WallTime time{};
    std::string comment;
    config::Tree settings;  // their origins name the commits that made them
};

class Commits {
public:
    static constexpr std::size_t kKept = 100;           // older ones are removed
    static constexpr std::size_t kCommentBytes = 1024;  // longer ones are refused

    // `directory` is made when there is something to keep. Empty: nothing can be kept.
    explicit Commits(std::string directory) : directory_(std::move(directory)) {}

    // The newest one that can be read; a damaged one is a warning, one that this version does not
    // understand an error.
    [[nodiscard]] Commit latest(config::Problems&) const;
    // Numbers, oldest first.
    [[nodiscard]] std::vector<std::uint64_t> numbers() const;
    // False: `why` is a sentence.
    [[nodiscard]] bool read(std::uint64_t number, Commit&, std::string& why) const;
    // Atomically and durably, whatever happens meanwhile.
    [[nodiscard]] bool keep(const Commit&, std::string& why) const;
    [[nodiscard]] std::string path(std::uint64_t number) const;

private:
    enum class Outcome : std::uint8_t { kGood, kDamaged, kNotUnderstood };
    [[nodiscard]] Outcome parse(const std::string& text, Commit&, std::string& why) const;
    void forget_old() const;

    std::string directory_;
};

}  // namespace fedgate::admin
