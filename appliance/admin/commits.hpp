// Commits: changes of the configuration that outlive the process. Each is one text file in
// dirs.state/commits, named by its number, which holds all that is committed from then on in the
// syntax of configuration files, and for each setting the commit that made it; a digest tells a
// damaged file. So each stands alone: to go back is to commit an earlier one again.
//
// A file's first part is published to all nodes, and is the same everywhere to the byte; behind it
// stands who has signed that, and what is committed of this node alone (config::Scope). Control
// thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/config/commit_id.hpp"
#include "core/config/tree.hpp"

namespace fedgate::admin {

struct Commit {
    std::uint64_t number = 0;  // 0: nothing was ever committed
    std::string author;
    WallTime time{};
    std::string comment;
    config::Tree settings;  // their origins name the commits that made them
    config::CommitRank rank = config::CommitRank::kPerson;
    Sha256Digest digest{};  // of what is published of it
    std::string proof;      // lines behind that: who has signed it; empty: nobody has

    // Those that it stands on, the latest first: who has another one by such a number has one that
    // gave way.
    struct Ancestor {
        std::uint64_t number = 0;
        std::string digest;  // its first digits
    };
    std::vector<Ancestor> after;

    // Taken back by every node unless it is confirmed within this time; 0: it need not be. What is
    // needed for that is in it: how what it changes was before.
    Duration confirm_within{};
    config::Tree before;
    std::vector<std::string> not_set_before;
    WallTime take_back_at{};  // by this node's clock

    [[nodiscard]] config::CommitId id() const { return {number, rank, time, digest}; }
    [[nodiscard]] bool unconfirmed() const { return confirm_within > Duration::zero(); }
    // Made by the node itself, as by every other one, since this one was not confirmed.
    [[nodiscard]] Commit taking_it_back() const;
    // Empty: nobody has signed it.
    [[nodiscard]] std::string signer() const;
    [[nodiscard]] std::vector<Ancestor> ancestors_of_next() const;
};

// One that gave way to another of the same number, or to one that does not stand on it.
struct LostCommit {
    std::uint64_t number = 0;
    std::string path;
    std::string author;
    std::string time;
    std::string comment;
};

class Commits {
public:
    static constexpr std::size_t kKept = 100;           // older ones are removed
    static constexpr std::size_t kCommentBytes = 1024;  // longer ones are refused
    static constexpr std::size_t kAuthorBytes = 256;    // of one from another node
    static constexpr std::size_t kDigestDigits = 16;    // of an ancestor

    enum class Outcome : std::uint8_t { kGood, kDamaged, kNotUnderstood };

    // `directory` is made when there is something to keep. Empty: nothing can be kept.
    explicit Commits(std::string directory) : directory_(std::move(directory)) {}

    // The newest one that can be read; a damaged one is a warning, one that this version does not
    // understand an error.
    [[nodiscard]] Commit latest(config::Problems&) const;
    // Numbers, oldest first.
    [[nodiscard]] std::vector<std::uint64_t> numbers() const;
    // False: `why` is a sentence.
    [[nodiscard]] bool read(std::uint64_t number, Commit&, std::string& why) const;

    // What other nodes get of it, but for its proof; its digest is noted.
    [[nodiscard]] static std::string write_published(Commit&);
    // Of a text with a proof behind it: what that is of.
    [[nodiscard]] static std::string_view without_proof(std::string_view text);
    // What a node has got. Whatever is said there of a node alone is left out. kNotUnderstood: but
    // for the settings it is known. Without settings: little work, whoever it is of.
    [[nodiscard]] static Outcome parse_published(std::string_view text, Commit&, std::string& why,
                                                 bool with_settings = true);
    // Its published part, and its proof, as it was kept. Empty: it can't be read.
    [[nodiscard]] std::string published(std::uint64_t number) const;

    // Atomically and durably, whatever happens meanwhile. `published`: of this commit, and proof.
    [[nodiscard]] bool keep(const Commit&, const std::string& published, std::string& why) const;
    [[nodiscard]] std::string path(std::uint64_t number) const;

    void remove(std::uint64_t number) const;

    // Keeps, under another name, what a commit has changed for the pool, in the syntax of
    // configuration files. False: nothing, or by nobody.
    bool set_aside(const Commit&, LostCommit&) const;
    [[nodiscard]] std::vector<LostCommit> lost() const;

private:
    void forget_old() const;

    std::string directory_;
};

// All that a commit holds, for the pool or for one node.
[[nodiscard]] config::Tree settings_of(const config::Tree&, config::Scope);

}  // namespace fedgate::admin
