// People who watch each other through a simulated Fedgate: XMPP user i and SIP user i, each the
// other's contact. The SIP users' agents are the engines of sip/ (tests/sip/watch_agent.hpp) behind
// one socket; the XMPP users sit behind a partner's edge and do what RFC 6121 says that their
// server does.
#pragma once

#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "appliance/store/memory.hpp"
#include "sip/transaction_key.hpp"
#include "tests/simulation/world.hpp"
#include "tests/sip/watch_agent.hpp"

namespace fedgate::simulation {

inline std::string xmpp_user(unsigned i) { return "u" + std::to_string(i) + "@" + kXmppDomain; }
inline std::string sip_user(unsigned i) { return "s" + std::to_string(i) + "@" + kSipDomain; }

// Each person has these devices, of which some are there.
struct Device {
    const char* name;
    bool is_there;
    std::string note = "at first";
};
using Devices = std::array<Device, 3>;

// The SIP users' agents.
class Agents final : private SocketOwner, private TimerOwner {
public:
    Agents(SimulatedLoop& loop, const SocketAddress& gateway, unsigned count)
        : loop_(loop), gateway_(gateway), timer_(*this), watching_(count) {
        devices.assign(count, {{{"desk", true}, {"phone", true}, {"car", false}}});
        auto socket = loop_.open_datagram(Pool::listen_address(kSipPort), *this);
        FEDGATE_CHECK(socket.has_value());
        socket_ = *socket;
        for (unsigned i = 0; i < count; ++i) {
            sip::test::WatchSettings settings;
            settings.uri = "sip:" + sip_user(i);
            settings.peer_uri = "sip:" + xmpp_user(i);
            settings.host = "10.99.0.1";
            settings.port = kSipPort;
            settings.maker = 1'000 + i;
            settings.contact_user = "s" + std::to_string(i);
            settings.document_type = "application/pidf+xml";
            all_.push_back(
                std::make_unique<sip::test::WatchAgent>(settings, i, [this](Bytes bytes, Bytes) {
                    if (!deaf) static_cast<void>(loop_.send_datagram(socket_, gateway_, bytes));
                }));
            all_[i]->document = document_of(i);
        }
    }

    [[nodiscard]] sip::test::WatchAgent& agent(unsigned i) { return *all_[i]; }
    void subscribe(unsigned i) {
        watching_[i] = true;
        act([&] { all_[i]->subscribe(loop_.now()); });
    }
    void unsubscribe(unsigned i) {
        watching_[i] = false;
        act([&] { all_[i]->unsubscribe(loop_.now()); });
    }
    [[nodiscard]] bool watches(unsigned i) const { return watching_[i]; }
    void tell(unsigned i, bool open, const std::string& note, std::size_t device = 0) {
        devices[i][device].is_there = open;
        devices[i][device].note = note;
        const bool any = std::ranges::any_of(devices[i], &Device::is_there);
        act([&] { all_[i]->change(document_of(i), !any, loop_.now()); });
    }

    // Full state; a device that is not there is closed, or left out (PRES-14: the same).
    std::string document_of(unsigned i) const {
        std::string text =
            "<?xml version='1.0' encoding='UTF-8'?><presence "
            "xmlns='urn:ietf:params:xml:ns:pidf' "
            "entity='pres:" +
            sip_user(i) + "'>";
        for (const Device& one : devices[i]) {
            if (!one.is_there && one.note.size() % 2 == 0) continue;
            text += std::string("<tuple id='ID-") + one.name + "'><status><basic>" +
                    (one.is_there ? "open" : "closed") + "</basic></status><note>" + one.note +
                    "</note></tuple>";
        }
        return text + "</presence>";
    }

    bool deaf = false;
    std::vector<Devices> devices;

private:
    void on_datagram(Socket, const SocketAddress&, MutableBytes bytes) override {
        if (deaf) return;
        std::string copy(bytes.data(), bytes.size());
        const sip::Frame frame = sip::read_datagram(copy, 65'536, message_);
        if (frame.kind != sip::FrameKind::kMessage) return;
        std::size_t i = all_.size();
        if (message_.is_request && message_.method == sip::Method::kOptions)
            return answer_options();
        if (!message_.is_request) {
            if (const auto branch = sip::read_branch(message_.via.branch)) {
                i = branch->core - 1'000U;
            }
        } else if (message_.request_uri.user.starts_with('s')) {
            i = static_cast<std::size_t>(
                std::atoi(std::string(message_.request_uri.user.substr(1)).c_str()));
        }
        if (i >= all_.size()) return;
        act([&] { all_[i]->receive({bytes.data(), bytes.size()}, loop_.now()); });
    }
    void answer_options() {
        char memory[2'048];
        Sink sink(memory);
        sip::write_response_head(sink, message_, {200, {}, "pool", {}, 0});
        sip::write_no_body(sink);
        static_cast<void>(loop_.send_datagram(socket_, gateway_, sink.written()));
    }
    void on_timer(Timer&) override {
        act([&] {
            for (auto& one : all_) {
                if (one->deadline() <= loop_.now()) one->on_time(loop_.now());
            }
        });
    }
    template <typename Do>
    void act(Do&& what) {
        what();
        Instant first = kNever;
        for (const auto& one : all_) first = std::min(first, one->deadline());
        first == kNever ? timer_.cancel() : loop_.timers().arm(timer_, first);
    }

    SimulatedLoop& loop_;
    SocketAddress gateway_;
    Timer timer_;
    std::vector<bool> watching_;
    Socket socket_;
    sip::Message message_;
    std::vector<std::unique_ptr<sip::test::WatchAgent>> all_;
};

// The XMPP users and what their server keeps for them.
class Contacts final : public link::GatewayDoor {
public:
    struct User {
        bool approves = true;
        bool granted = false;  // the SIP user may see him
        unsigned asked = 0;    // times that the person was asked
        Devices devices{{{"home", true}, {"balcony", true}, {"car", false}}};
        bool wants = false;                       // to see the SIP user
        bool subscribed = false;                  // he may
        unsigned lost = 0;                        // unsubscribed
        std::map<std::string, std::string> seen;  // available resources of the SIP user: note
        // Of them, those that were on their way to the disk when Fedgate died. Presence does not
        // wait for that: if they are gone when it starts, nobody takes them back.
        std::set<std::string> unkept;
    };

    explicit Contacts(unsigned count) : users(count) {}

    bool take_stanza(const link::FromPartner& from) override {
        const xml::StreamScope scope;
        const xml::Stanza stanza = xml::parse_stanza(from.stanza, scope);
        if (stanza.kind != xml::StanzaKind::kPresence) return true;
        const unsigned i =
            static_cast<unsigned>(std::atoi(std::string(stanza.to.substr(1)).c_str()));
        if (i >= users.size()) return true;
        User& user = users[i];
        const std::string whom(stanza.from);
        const std::string resource =
            whom.find('/') == std::string::npos ? "" : whom.substr(whom.find('/') + 1);
        if (stanza.type == "subscribe") {
            if (!user.granted) ++user.asked;
            user.granted = user.granted || user.approves;
            send(i, user.granted ? "subscribed" : "unsubscribed");
            if (user.granted) send_presence(i);
        } else if (stanza.type == "probe") {  // RFC 6121 4.3.2
            user.granted ? send_presence(i) : send(i, "unsubscribed");
        } else if (stanza.type == "subscribed") {
            user.subscribed = true;
        } else if (stanza.type == "unsubscribed") {
            user.subscribed = false;
            ++user.lost;
        } else if (stanza.type == "unavailable") {
            user.unkept.erase(resource);
            if (resource.empty()) user.seen.clear();
            user.seen.erase(resource);
        } else if (stanza.type.empty()) {
            char memory[1'024];
            Sink note(memory);
            stanza.root.child("status", xml::kServerNamespace).text(note);
            user.unkept.erase(resource);
            user.seen[resource] = std::string(note.written());
        }
        return true;
    }
    void on_outcome(const link::Outcome&) override {}

    void subscribe(unsigned i) {
        users[i].wants = true;
        send(i, "subscribe");
    }
    void unsubscribe(unsigned i) {
        users[i].wants = users[i].subscribed = false;
        users[i].seen.clear();
        send(i, "unsubscribe");
    }
    void probe(unsigned i) { send(i, "probe"); }
    void revoke(unsigned i) {
        users[i].granted = users[i].approves = false;
        send(i, "unsubscribed");
    }
    void tell(unsigned i, bool online, const std::string& note, std::size_t device = 0) {
        Device& one = users[i].devices[device];
        one.is_there = online;
        one.note = note;
        if (users[i].granted) send_presence(i, one);
    }

    edge::Edge* edge = nullptr;  // the partner's; null while it is down
    std::vector<User> users;

private:
    void send(unsigned i, const std::string& type) {
        if (edge == nullptr) return;
        const std::string stanza = "<presence from='" + xmpp_user(i) + "' to='" + sip_user(i) +
                                   "' id='p" + std::to_string(++serial_) + "' type='" + type +
                                   "'/>";
        static_cast<void>(edge->take_stanza({0, kXmppDomain, kSipDomain, stanza}));
    }
    // All that are there, or that nobody is.
    void send_presence(unsigned i) {
        const Devices& devices = users[i].devices;
        for (const Device& one : devices) {
            if (one.is_there) send_presence(i, one);
        }
        if (std::ranges::none_of(devices, &Device::is_there)) send_presence(i, {"", false});
    }
    // With a ticket: what a broken stream has lost is not sent again, as by most servers.
    void send_presence(unsigned i, const Device& device) {
        if (edge == nullptr) return;
        const std::string resource = *device.name != '\0' ? std::string("/") + device.name : "";
        const std::string front = "<presence from='" + xmpp_user(i) + resource + "' to='" +
                                  sip_user(i) + "' id='p" + std::to_string(++serial_) + "'";
        static_cast<void>(edge->take_stanza(
            {serial_, kXmppDomain, kSipDomain,
             device.is_there ? front + "><status>" + device.note + "</status></presence>"
                             : front + " type='unavailable'/>"}));
    }

    unsigned serial_ = 0;
};

class PresenceWorld {
public:
    explicit PresenceWorld(std::uint64_t seed, unsigned people, std::uint32_t shards = 2,
                           const Settings& more = {}, Server::Front front = Server::no_front,
                           const Settings& partner_more = {})
        : simulation(SimulationSettings{.seed = seed}),
          seeded_(simulation.make_loop(simulation.make_node())),
          fedgate(simulation, simulation.make_node(), shards, settings(more), false,
                  limits::kMailboxBytes, std::move(front)),
          partner(simulation, simulation.make_node(), 1, partner_settings(partner_more)),
          contacts(people),
          agents_node(simulation.make_node()),
          agents(simulation.make_loop(agents_node), simulation.address(fedgate.node(), kSipPort),
                 people),
          store(shards, [shards](const store::Row& row) {
              return gateway::owner_shard({}, row.xmpp, row.sip, shards);
          }) {
        net::seed_tls_from(&seeded_);
        fedgate.knows(kXmppDomain, simulation, partner.node());
        partner.knows(kSipDomain, simulation, fedgate.node());
        start_fedgate();
        start_partner();
    }
    ~PresenceWorld() { net::seed_tls_from(nullptr); }

    void pass(Duration time) {
        simulation.run_for([] { return false; }, time);
    }
    // Each adds the other.
    void meet(bool xmpp_watches = true, bool sip_watches = true) {
        for (unsigned i = 0; i < contacts.users.size(); ++i) {
            if (xmpp_watches) contacts.subscribe(i);
            if (sip_watches) agents.subscribe(i);
        }
    }
    // Does each see what the other says, and nothing else?
    [[nodiscard]] bool right(unsigned i) {
        const Contacts::User& user = contacts.users[i];
        std::map<std::string, std::string> told;
        for (const Device& one : agents.devices[i]) {
            if (one.is_there) told[one.name] = one.note;
        }
        auto seen = user.seen;
        for (const std::string& one : user.unkept) {
            if (!told.contains(one)) seen.erase(one);
        }
        std::map<std::string, std::string> said;
        for (const Device& one : user.devices) {
            if (one.is_there) said[one.name] = one.note;
        }
        std::map<std::string, std::string> shown;  // by the last document: what is open, its note
        const std::string& document = agents.agent(i).seen;
        for (std::size_t at = 0; (at = document.find("<tuple id='ID-", at)) != std::string::npos;) {
            at += 14;
            const std::string tuple = document.substr(at, document.find("</tuple>", at) - at);
            if (tuple.find(">open<") == std::string::npos) continue;
            const std::size_t note = tuple.find('>', tuple.find("<note")) + 1;
            shown[tuple.substr(0, tuple.find('\''))] =
                tuple.substr(note, tuple.find("</note>") - note);
        }
        return (user.wants ? user.subscribed && seen == told : seen.empty()) &&
               (!agents.watches(i) || (user.granted && shown == said));
    }
    [[nodiscard]] std::size_t wrong() {
        std::size_t count = 0;
        for (unsigned i = 0; i < contacts.users.size(); ++i) count += right(i) ? 0 : 1;
        return count;
    }
    // True: everybody's view is right, within that time.
    [[nodiscard]] bool settle(Duration at_most) {
        return simulation.run_for([this] { return wrong() == 0; }, at_most);
    }
    // kill -9, and start.
    void crash_fedgate(Duration down) {
        store.crash([this] { return simulation.random(2) == 0; });
        note_unkept();
        fedgate.crash(simulation);
        store.restart();
        pass(down);
        start_fedgate();
    }
    void stop_partner() {
        contacts.edge = nullptr;
        partner.seats()[0].edge->stop_accepting();
        pass(1ms);
        partner.seats()[0].edge.reset();
    }
    void start_partner() {
        Server::Seat& seat = partner.seats()[0];
        seat.edge != nullptr ? partner.restart_edge(contacts) : partner.start_edge(seat, contacts);
        contacts.edge = seat.edge.get();
    }
    std::string describe() {
        std::string text;
        for (unsigned i = 0; i < contacts.users.size(); ++i) {
            if (right(i)) continue;
            const Contacts::User& user = contacts.users[i];
            text += "\nuser " + std::to_string(i) + (user.subscribed ? " subscribed" : "") +
                    (user.granted ? " granted" : "") + " says";
            for (const Device& one : user.devices) {
                if (one.is_there) text += std::string(" ") + one.name + "=" + one.note;
            }
            text += " sees";
            for (const auto& [resource, note] : user.seen) text += ' ' + resource + '=' + note;
            text += "\n  agent reports " + agents.agent(i).reports + " says " +
                    agents.agent(i).document + "\n  sees " + agents.agent(i).seen;
        }
        return text + "\nfedgate:\n" + fedgate.log() + "partner:\n" + partner.log();
    }

    Simulation simulation;

private:
    static Settings partner_settings(const Settings& more) {
        Settings all = server_rules(kXmppDomain, kSipDomain);
        all.insert(all.end(), more.begin(), more.end());
        return all;
    }
    static Settings settings(const Settings& more) {
        Settings all = server_rules(kSipDomain, kXmppDomain);
        all.push_back({"sip.listen", "udp:0.0.0.0:5060"});
        all.push_back({"sip.rate.datagrams_per_address", "none"});
        all.push_back({std::string("domain/") + kSipDomain + "/next_hop",
                       "sip:10.99.0.1:5060;transport=udp"});
        all.insert(all.end(), more.begin(), more.end());
        return all;
    }
    void note_unkept() {
        for (unsigned i = 0; i < contacts.users.size(); ++i) {
            const store::Change* row = store.find(store::Kind::kWatch, xmpp_user(i), sip_user(i));
            const std::string kept = row != nullptr ? std::string(row->row().detail) : "";
            Contacts::User& user = contacts.users[i];
            for (const auto& [resource, note] : user.seen) {
                if (kept.find(resource + '\n') == std::string::npos) user.unkept.insert(resource);
            }
        }
    }
    void start_fedgate() {
        fedgate.start_with_gateway([this](std::uint32_t i, Server::Seat& seat) {
            seat.gateway->attach_store(store.door(i));
        });
        for (std::uint32_t i = 0; i < fedgate.seats().size(); ++i) {
            Server::Seat& seat = fedgate.seats()[i];
            store.attach(i, *seat.shard, seat.gateway->store_user());
        }
    }

    SimulatedLoop& seeded_;

public:
    Server fedgate;
    Server partner;
    Contacts contacts;
    Simulation::Node agents_node;
    Agents agents;
    store::Memory store;
};

}  // namespace fedgate::simulation
