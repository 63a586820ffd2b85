// A daemon that is not there: remembers what the control thread asked of it.
#pragma once

#include <atomic>
#include <map>
#include <string>
#include <utility>

#include "appliance/admin/host.hpp"

namespace fedgate::admin {

class FakeHost final : public AdminHost {
public:
    void publish(const rules::Snapshot& snapshot) override {
        published.push_back(snapshot.generation);
        if (follow) oldest = snapshot.generation;
    }
    std::string fault_of(const rules::Snapshot&) override { return fault; }
    std::vector<std::string> warnings_of(const rules::Snapshot&) override { return warnings; }
    std::uint64_t oldest_generation() override { return oldest; }
    Status status() override { return state; }
    std::vector<Port> ports() override { return port_rows; }
    std::vector<StreamRow> streams() override { return stream_rows; }
    std::vector<Counter> counters() override {
        return {{"xmpp.stanzas_in", 12}, {"sip.messages_in", 3}};
    }
    std::vector<FailureRow> failures() override { return failure_rows; }
    std::optional<std::vector<SeenUser>> seen_users() override { return seen; }
    std::vector<PartnerCertificate> partner_certificates() override { return certificate_rows; }
    void open_stream(const std::string& our, const std::string& their) override {
        opened.emplace_back(our, their);
    }
    std::uint64_t begin_trial(const TrialOrder& order, std::string& why) override {
        why = no_trial;
        if (!why.empty()) return 0;
        trials.push_back(order);
        return trials.size();
    }
    std::optional<Trial> trial(std::uint64_t id) override {
        return id != 0 && id <= trials.size() ? std::optional(trial_now) : std::nullopt;
    }
    bool cores_answer() override { return !stuck; }
    bool cores_have_turned() override { return !stuck; }
    const EventBook* event_book() override { return &book; }
    void drain() override {
        ++drains;
        state.state = "draining";
    }
    bool drained() override { return may_end; }
    Duration on_turn() override { return std::chrono::milliseconds(50); }
    void on_reload() override { ++reloads; }
    std::vector<Received> take_received() override { return std::exchange(received, {}); }
    void tell_nodes(const Held& held) override { told.push_back(held); }
    std::string why_not_for_all() override { return not_for_all; }
    std::string sign(Bytes, std::string&) override {
        return name.empty() ? std::string() : "# signed by: " + name + "\n# signature: 00\n";
    }
    Signer signer_of(Bytes, Bytes proof, WallTime) override {
        constexpr std::size_t kFront = std::string_view("# signed by: ").size();
        std::string signer(proof.substr(kFront, proof.find('\n') - kFront));
        const auto until = good_until.find(signer);
        return {
            {signer}, signature_fault, until != good_until.end() ? until->second : WallTime::max()};
    }
    std::uint64_t files_loaded() override { return files; }
    void note(EventId event, std::initializer_list<LogField>) override { events.push_back(event); }

    std::string fault;                // of what is to be published
    std::string name = "gw.example";  // signs by it; empty: can't
    std::string signature_fault;
    std::map<std::string, WallTime> good_until;  // signers' certificates
    std::string not_for_all;
    std::uint64_t files = 0;  // how often they were loaded
    std::vector<std::string> warnings;
    Status state;
    std::vector<Port> port_rows;
    std::vector<StreamRow> stream_rows;
    std::vector<FailureRow> failure_rows;
    std::optional<std::vector<SeenUser>> seen = std::vector<SeenUser>();
    std::vector<PartnerCertificate> certificate_rows;
    std::vector<std::uint64_t> published;
    std::vector<Received> received;
    std::vector<Held> told;
    std::vector<EventId> events;
    std::vector<TrialOrder> trials;
    Trial trial_now;       // of each
    std::string no_trial;  // why none can be begun
    std::vector<std::pair<std::string, std::string>> opened;
    std::uint64_t oldest = 0;
    bool follow = true;  // every core takes a new snapshot at once
    bool may_end = true;
    int drains = 0;
    int reloads = 0;
    std::atomic<bool> stuck = false;
    EventBook book;
};

}  // namespace fedgate::admin
