#include "appliance/admin/trials.hpp"

#include <algorithm>
#include <chrono>
#include <unistd.h>

#include "appliance/admin/answers.hpp"
#include "appliance/admin/doctor.hpp"
#include "appliance/admin/wall_clock.hpp"
#include "core/config/domain.hpp"
#include "core/config/text.hpp"
#include "core/config/timestamp.hpp"

namespace fedgate::admin {
namespace {

constexpr std::size_t kTextBytesMax = 1'000;

double seconds_of(Duration time) { return std::chrono::duration<double>(time).count(); }

// `sip:romeo@corp.example`: bare, with its domain as it is known here. Empty: it is no user.
std::string bare_of(std::string text, std::string& domain) {
    for (const std::string_view scheme : {"sip:", "xmpp:", "im:"}) {
        if (text.starts_with(scheme)) text.erase(0, scheme.size());
    }
    const std::size_t at = text.find('@');
    if (at == std::string::npos || at == 0 || !config::is_text(text)) return {};
    std::string rest = text.substr(at + 1);
    rest.erase(std::min(rest.find_first_of("/;?"), rest.size()));
    const auto normal = config::normalise_domain(rest);
    if (!normal) return {};
    domain = *normal;
    return text.substr(0, at + 1) + *normal;
}

// False: `why` not.
bool read_order(const std::string& from, const std::string& to, const rules::Snapshot& rules,
                TrialOrder& order, std::string& why) {
    std::string from_domain;
    std::string to_domain;
    const std::string sender = bare_of(from, from_domain);
    const std::string receiver = bare_of(to, to_domain);
    if (sender.empty() || receiver.empty()) {
        why = config::in_quotes(sender.empty() ? from : to) +
              " is not the address of a user, as romeo@corp.example";
        return false;
    }
    const bool ours_first = rules.sip_domain(from_domain) != nullptr;
    const bool ours_last = rules.sip_domain(to_domain) != nullptr;
    if (ours_first == ours_last) {
        why = ours_first ? "both are users of ours: one of the two is to be a partner's"
                         : "we serve neither " + from_domain + " nor " + to_domain +
                               ": one of the two is to be a SIP user of ours "
                               "(domain/DOMAIN/next_hop)";
        return false;
    }
    order.to_sip = ours_last;
    order.ours = ours_last ? receiver : sender;
    order.theirs = ours_last ? sender : receiver;
    return true;
}

std::string text_of_test() {
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    return "Fedgate test message " +
           std::to_string(std::chrono::duration_cast<std::chrono::microseconds>(now).count()) +
           ": no answer is needed";
}

Json trial_json(const Trial& trial, const TrialVerdict& verdict) {
    Json out{{"over", verdict.over},
             {"good", verdict.good},
             {"latency_s", seconds_of(verdict.latency)},
             {"fault", verdict.fault},
             {"status", trial.status}};
    if (trial.taken) out["taken_s"] = seconds_of(trial.taken_after);
    if (trial.acknowledged) out["acknowledged_s"] = seconds_of(trial.acknowledged_after);
    if (trial.received) out["received_s"] = seconds_of(trial.received_after);
    return out;
}

}  // namespace

TrialVerdict judge(const Trial& trial, bool to_sip, Duration within) {
    TrialVerdict out;
    out.fault = trial.fault;
    out.over = !trial.fault.empty();
    if (out.over) return out;
    const bool late = trial.age >= within;
    if (to_sip) {
        out.over = trial.taken || late;
        out.good = trial.taken;
        out.latency = trial.taken_after;
        if (late && !trial.taken) out.fault = "our SIP server has not answered";
    } else {
        const bool there = trial.acknowledged || trial.received;
        out.latency = trial.acknowledged ? trial.acknowledged_after : trial.received_after;
        const bool settled = trial.received || trial.age >= out.latency + kRefusedWithin;
        out.good = there && (settled || late);
        out.over = out.good || late;
        if (late && !there) {
            out.fault = trial.taken ? "it was sent, and no answer of their server came back"
                                    : "no stream with their server came up";
        }
    }
    if (!out.fault.empty()) {
        out.fault += " within " +
                     std::to_string(std::chrono::ceil<std::chrono::seconds>(within).count()) + " s";
    }
    return out;
}

// --- the scheduled one

void TestSchedule::on_turn(Time now) {
    const rules::Settings::Test& plan = configuration_.snapshot().settings.test;
    if (!planned_ || plan.interval != plan_.interval || plan.from != plan_.from ||
        plan.to != plan_.to) {
        // A new one runs soon: whether it works, nobody wants to learn tomorrow.
        planned_ = true;
        next_ = now + std::min<Duration>(plan.interval, std::chrono::seconds(5));
        trial_ = 0;
        failing_ = false;
        last_.reset();
    }
    plan_ = plan;
    if (plan.interval <= Duration::zero()) return;
    if (trial_ != 0) return look();
    if (now >= next_) begin(now);
}

void TestSchedule::begin(Time now) {
    next_ = now + plan_.interval;
    not_here_.clear();
    order_ = {};
    std::string why;
    if (!read_order(plan_.from, plan_.to, configuration_.snapshot(), order_, why))
        return end(false, {}, why);
    order_.text = text_of_test();
    trial_ = host_.begin_trial(order_, not_here_);
    if (trial_ != 0) return;
    failing_ = false;  // whoever has the conversation now tells how it is
    last_.reset();
}

void TestSchedule::look() {
    const auto trial = host_.trial(trial_);
    if (!trial) return end(false, {}, "it was lost");
    const TrialVerdict verdict = judge(*trial, order_.to_sip, plan_.within);
    if (verdict.over) end(verdict.good, verdict.latency, verdict.fault);
}

void TestSchedule::end(bool good, Duration latency, const std::string& fault) {
    trial_ = 0;
    last_ = wall_now();
    latency_ = latency;
    fault_ = fault;
    diagnosis_ = good ? std::string() : diagnosis();
    if (!good) {
        host_.note(
            EventId::kTestFailed,
            {{"from", plan_.from}, {"to", plan_.to}, {"why", fault_}, {"diagnosis", diagnosis_}});
    } else if (failing_) {
        host_.note(EventId::kTestPassed, {{"from", plan_.from}, {"to", plan_.to}});
    }
    failing_ = !good;
}

// What the daemon knows by itself; fedctl doctor asks the network, too.
std::string TestSchedule::diagnosis() const {
    const std::string domain = order_.theirs.substr(order_.theirs.find('@') + 1);
    if (order_.theirs.empty()) return {};
    const Json known = answer_doctor({{"domain", domain}, {"from", order_.ours}, {"open", false}},
                                     host_, configuration_);
    if (const auto steps = known.find("steps"); steps != known.end()) {
        for (const Json& step : *steps) {
            if (string_of(step, "state") == "fault")
                return string_of(step, "step") + ": " + string_of(step, "text");
        }
    }
    if (order_.to_sip) return {};
    for (const FailureRow& row : host_.failures()) {
        if (row.outbound && row.their_domain == domain) return row.kind + ": " + row.text;
    }
    return {};
}

Json TestSchedule::json() const {
    const rules::Settings::Test& plan = configuration_.snapshot().settings.test;
    Json out{{"ok", true},
             {"from", plan.from},
             {"to", plan.to},
             {"interval_s", seconds_of(plan.interval)},
             {"under_way", trial_ != 0},
             {"not_here", not_here_}};
    if (!last_) return out;
    out["last"] = {{"time", config::format_time(*last_)},
                   {"good", fault_.empty()},
                   {"latency_s", seconds_of(latency_)},
                   {"fault", fault_},
                   {"diagnosis", diagnosis_}};
    return out;
}

std::string TestSchedule::remark() const {
    if (!failing_ || !last_) return {};
    return "the scheduled test message from " + plan_.from + " to " + plan_.to + " failed at " +
           config::format_time(*last_) + ": " + fault_ +
           (diagnosis_.empty() ? "" : " (" + diagnosis_ + ")");
}

std::string TestSchedule::why_not_now(Time time) {
    const Instant now(time.time_since_epoch());
    const config::Rate rate = configuration_.tree().rate("test.im.rate");
    if (!bucket_ || rate != rate_)
        bucket_.emplace(rate.per_second(), static_cast<double>(rate.count), now);
    rate_ = rate;
    if (bucket_->take(1, now)) return {};
    const auto wait = std::chrono::ceil<std::chrono::seconds>(bucket_->available_at(1, now) - now);
    return "test.im.rate = " + configuration_.tree().text("test.im.rate") +
           " lets no more test messages out now: the next in " + std::to_string(wait.count()) +
           " s";
}

// --- an administrator's

Json answer_test(const Json& request, AdminHost& host, const Configuration& configuration,
                 TestSchedule* schedule) {
    const std::string action = string_of(request, "action");
    if (action.empty() && schedule != nullptr) return schedule->json();
    if (action == "look") {
        const auto trial = host.trial(number_of(request, "id"));
        if (!trial) return refusal("there is no such test message any more");
        const auto within = std::chrono::seconds(std::clamp<std::uint64_t>(
            number_of(request, "within_s"), 1, static_cast<std::uint64_t>(60)));
        Json out = trial_json(*trial, judge(*trial, bool_of(request, "to_sip"), within));
        out["ok"] = true;
        return out;
    }
    if (action != "im") return refusal("test has no action '" + action.substr(0, 64) + "'");
    TrialOrder order;
    std::string why;
    if (!read_order(string_of(request, "from"), string_of(request, "to"), configuration.snapshot(),
                    order, why)) {
        return refusal(why);
    }
    order.text = string_of(request, "text", text_of_test());
    if (order.text.empty() || order.text.size() > kTextBytesMax || !config::is_text(order.text)) {
        return refusal("the text is 1 to " + std::to_string(kTextBytesMax) +
                       " bytes, without control characters");
    }
    if (schedule != nullptr) why = schedule->why_not_now(TestSchedule::Time::clock::now());
    if (!why.empty()) return refusal(why);
    const std::uint64_t id = host.begin_trial(order, why);
    if (id == 0) return refusal(why);
    const Status status = host.status();
    std::string node = status.nodes.empty() ? std::string() : status.nodes.front().node;
    char name[256] = {};
    if (node.empty() && gethostname(name, sizeof name - 1) == 0) node = name;
    return {{"ok", true},
            {"id", id},
            {"to_sip", order.to_sip},
            {"ours", order.ours},
            {"theirs", order.theirs},
            {"node", std::move(node)}};
}

}  // namespace fedgate::admin
