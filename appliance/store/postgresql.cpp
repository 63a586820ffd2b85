#include "appliance/store/postgresql.hpp"

#include <algorithm>
#include <iterator>
#include <random>
#include <utility>
#include <vector>

#include "appliance/store/libpq.hpp"
#include "appliance/store/schema.hpp"

namespace fedgate::store {
namespace {

constexpr std::int64_t kSchemaVersion = 1;
constexpr std::size_t kChangesAtOnce = 256;  // are sent before their results are read
constexpr int kTries = 3;

// Columns that an administrator can read. The slot is that of the two addresses.
constexpr const char* kTables[] = {
    "CREATE TABLE IF NOT EXISTS fedgate_contents ("
    "version integer NOT NULL, slots integer NOT NULL)",
    "CREATE TABLE IF NOT EXISTS fedgate_nodes ("
    "node text PRIMARY KEY, incarnation bigint NOT NULL, beat bigint NOT NULL)",
    "CREATE TABLE IF NOT EXISTS fedgate_slots ("
    "slot integer PRIMARY KEY, owner text NOT NULL, epoch bigint NOT NULL)",
    "CREATE TABLE IF NOT EXISTS fedgate_subscriptions ("
    "slot integer NOT NULL, kind text NOT NULL, xmpp text NOT NULL, sip text NOT NULL, "
    "auth integer NOT NULL, changed bigint NOT NULL, detail bytea NOT NULL, "
    "PRIMARY KEY (slot, kind, xmpp, sip))",
};

constexpr const char* kUpdate =
    "UPDATE fedgate_subscriptions SET auth = $5, changed = $6, detail = $7 "
    "WHERE slot = $1 AND kind = $2 AND xmpp = $3 AND sip = $4";
constexpr const char* kInsert =
    "INSERT INTO fedgate_subscriptions (slot, kind, xmpp, sip, auth, changed, detail) "
    "VALUES ($1, $2, $3, $4, $5, $6, $7)";
constexpr const char* kErase =
    "DELETE FROM fedgate_subscriptions WHERE slot = $1 AND kind = $2 AND xmpp = $3 AND sip = $4";

// What a connection that hangs in the middle of something may hold up others for; not every server
// knows all of it.
constexpr const char* kSettings[] = {
    "SET idle_in_transaction_session_timeout = 3000",
    "SET lock_timeout = 3000",
};

// Of one of the URL's words; empty: not given.
Bytes value_of(const PQconninfoOption* options, Bytes keyword) {
    for (; options->keyword != nullptr; ++options) {
        if (keyword == options->keyword && options->val != nullptr) return options->val;
    }
    return {};
}

// What libpq says, up to where it quotes: that may be a piece of a password. A single character is
// none.
std::string said_without_quotes(Bytes text) {
    std::size_t quote = text.find('"');
    while (quote != Bytes::npos && quote + 2 < text.size() && text[quote + 2] == '"') {
        quote = text.find('"', quote + 3);
    }
    text = text.substr(0, quote);
    while (!text.empty() && Bytes(" :\n").find(text.back()) != Bytes::npos) text.remove_suffix(1);
    return std::string(text);
}

// A password with a '/' in it, not written as %2F, ends up in the port or the name.
bool is_misread(const PQconninfoOption* options) {
    const Bytes ports = value_of(options, "port");
    return ports.find_first_not_of("0123456789,") != Bytes::npos ||
           value_of(options, "host").find('@', 1) !=
               Bytes::npos ||  // first: a socket without a file
           value_of(options, "dbname").find('@') != Bytes::npos;
}

// As {1,2,3}.
template <typename Value>
std::string list_of(const Slots& slots, Value value) {
    std::string text = "{";
    for (std::size_t slot = 0; slot < kSlots; ++slot) {
        if (!slots[slot]) continue;
        if (text.size() > 1) text += ',';
        text += std::to_string(value(slot));
    }
    return text + '}';
}
std::string list_of(const Slots& slots) {
    return list_of(slots, [](std::size_t slot) { return slot; });
}
std::string list_of(const Slots& slots, const std::array<std::int64_t, kSlots>& numbers) {
    return list_of(slots, [&](std::size_t slot) { return numbers[slot]; });
}

void name_row(Parameters& parameters, std::size_t slot, const Row& row) {
    parameters.add(static_cast<std::int64_t>(slot))
        .add(name_of(row.kind))
        .add(row.xmpp)
        .add(row.sip);
}

std::int64_t random_number() {
    std::random_device random;
    return static_cast<std::int64_t>((std::uint64_t{random()} << 31 | random()) & INT64_MAX);
}

}  // namespace

std::string fault_of_url(const std::string& url) {
    char* error = nullptr;
    PQconninfoOption* const options = PQconninfoParse(url.c_str(), &error);
    std::string fault;
    if (options == nullptr) {
        fault = "is no URL like postgresql://user@host/database";
        if (error != nullptr) fault += ": " + said_without_quotes(error);
    } else if (is_misread(options)) {
        fault =
            "is no URL like postgresql://user@host:port/database: there is an '@' in the name of "
            "the host or of the database, or the port is no number";
    } else if (!value_of(options, "password").empty() ||
               !value_of(options, "sslpassword").empty()) {
        fault =
            "holds a password, which everybody who may read the configuration could read; put "
            "it into a file like ~/.pgpass and say passfile=PATH";
    }
    PQconninfoFree(options);
    PQfreemem(error);
    return fault;
}

PostgreSql::PostgreSql(std::string url, std::string node, Pace pace)
    : url_(std::move(url)),
      node_(std::move(node)),
      pace_(pace),
      name_(url_.substr(0, url_.find('?'))),
      incarnation_(random_number()) {}

PostgreSql::~PostgreSql() = default;

void PostgreSql::close() { server_.reset(); }

// A statement may have been cut in the middle of its transaction: the next one is another
// connection's.
Fault PostgreSql::fail(const Result& result, const char* what) {
    const Bytes state = result.state();
    why_ = std::string(what) + ": " +
           (state.empty() ? server_->error() : std::string(result.sentence()));
    // Serialisation, deadlock, and what two who make the same table at once run into.
    may_pass_ = state == "40001" || state == "40P01" || state == "23505" || state == "42P07";
    close();
    return Fault::kUnusable;
}

Fault PostgreSql::probe() { return Fault::kNone; }  // whatever fails closes it

Fault PostgreSql::rebuild(WallTime, Damage&, std::string&) { return Fault::kUnusable; }

const char* PostgreSql::remedy(Fault fault) const {
    switch (fault) {
        case Fault::kInUse: return "stop the other one, or give it a name of its own";
        case Fault::kForeign: return "give it a database of its own";
        default: return "correct that";
    }
}

std::uint64_t PostgreSql::rows() const {
    std::uint64_t rows = 0;
    for (std::size_t slot = 0; slot < kSlots; ++slot) {
        if (mine_[slot]) rows += counts_[slot];
    }
    return rows;
}

// ---- Opening

// What is not said of the connection is said here; the URL holds over what is before it.
Fault PostgreSql::connect() {
    const char* const keywords[] = {"target_session_attrs",
                                    "sslmode",
                                    "connect_timeout",
                                    "tcp_user_timeout",
                                    "keepalives_idle",
                                    "keepalives_interval",
                                    "keepalives_count",
                                    "fallback_application_name",
                                    "dbname",
                                    "client_encoding",
                                    nullptr};
    const char* const values[] = {"read-write", "verify-full", "2",          "5000", "5",    "2",
                                  "3",          "fedgated",    url_.c_str(), "UTF8", nullptr};
    server_ = std::make_unique<Server>();
    if (!server_->connect(keywords, values)) return fail({}, "can't be reached");
    const Bytes encoding = server_->setting("server_encoding");
    if (encoding != "UTF8") {
        why_ = "has the encoding " + std::string(encoding) + ", not UTF8";
        close();
        return Fault::kForeign;
    }
    for (const char* const sql : kSettings) static_cast<void>(server_->run(sql));
    return Fault::kNone;
}

Fault PostgreSql::open() {
    close();
    Fault fault = connect();
    if (fault == Fault::kNone) fault = identify();
    if (fault == Fault::kNone) fault = prepare();
    if (fault == Fault::kNone) why_.clear();
    return fault;
}

Fault PostgreSql::identify() {
    constexpr const char* kAsk = "SELECT version, slots FROM fedgate_contents";
    Result contents = server_->run(kAsk);
    for (int i = 0; contents.state() == "42P01" && i < kTries; ++i) {  // no such table
        const Fault fault = make();
        if (fault != Fault::kNone && !may_pass_) return fault;
        if (!is_open()) {
            if (const Fault again = connect(); again != Fault::kNone) return again;
        }
        contents = server_->run(kAsk);
    }
    if (!contents.good()) return fail(contents, "can't be read");
    const bool known = contents.rows() == 1 && contents.number(0, 0) == kSchemaVersion &&
                       contents.number(0, 1) == static_cast<std::int64_t>(kSlots);
    if (known) return Fault::kNone;
    close();
    why_ = "was made by another version of Fedgate";
    return Fault::kForeign;
}

// Several nodes may do so at once: whoever is late has an error, and finds all there.
Fault PostgreSql::make() {
    std::vector<std::string> statements{"BEGIN"};
    statements.insert(statements.end(), std::begin(kTables), std::end(kTables));
    statements.push_back("INSERT INTO fedgate_slots SELECT slot, '', 0 FROM generate_series(0, " +
                         std::to_string(kSlots - 1) + ") AS slot");
    statements.push_back("INSERT INTO fedgate_contents VALUES (" + std::to_string(kSchemaVersion) +
                         ", " + std::to_string(kSlots) + ")");
    statements.emplace_back("COMMIT");
    for (const std::string& sql : statements) {
        const Result result = server_->run(sql.c_str());
        if (!result.good()) return fail(result, "can't be made");
    }
    return Fault::kNone;
}

Fault PostgreSql::prepare() {
    const bool done = server_->prepare("update", kUpdate) && server_->prepare("insert", kInsert) &&
                      server_->prepare("erase", kErase);
    return done ? Fault::kNone : fail({}, "can't be used");
}

// ---- Rows

Fault PostgreSql::scan(const Slots& which, const Visitor& visit, Damage& damage) {
    const std::string slots = list_of(which);
    Parameters parameters;
    parameters.add_text(slots);
    if (!server_->send_for_rows("SELECT slot, kind, xmpp, sip, auth, changed, detail "
                                "FROM fedgate_subscriptions WHERE slot = ANY($1::integer[])",
                                parameters)) {
        return fail({}, "can't be read");
    }
    std::array<std::uint64_t, kSlots> counts{};
    bool going_on = true;
    bool ended = false;
    while (const Result row = server_->take()) {
        if (!row.good()) return fail(row, "can't be read");
        ended = row.status() == PGRES_TUPLES_OK;
        if (row.rows() == 0) continue;
        const auto slot = static_cast<std::size_t>(row.number(0, 0));
        const auto* const kind = std::ranges::find(kKindNames, row.bytes(0, 1));
        if (slot >= kSlots || kind == std::end(kKindNames)) continue;
        ++counts[slot];
        ++damage.rows;
        if (!going_on) continue;
        going_on = visit(Change({.kind = static_cast<Kind>(kind - std::begin(kKindNames)),
                                 .xmpp = row.bytes(0, 2),
                                 .sip = row.bytes(0, 3),
                                 .auth = static_cast<std::uint8_t>(row.number(0, 4)),
                                 .changed = WallTime(std::chrono::seconds(row.number(0, 5))),
                                 .detail = row.bytes(0, 6)},
                                false));
    }
    if (!ended) return fail({}, "can't be read");
    damage.expected = damage.rows;
    for (std::size_t slot = 0; slot < kSlots; ++slot) {
        if (which[slot]) counts_[slot] = counts[slot];
    }
    return Fault::kNone;
}

// The changes of one transaction.
struct PostgreSql::Writing {
    struct One {
        std::size_t slot;
        const Change* change;
    };
    Slots slots;
    std::vector<One> updates;
    std::vector<One> inserts;
    std::vector<One> erasures;
    std::array<std::int64_t, kSlots> more{};  // rows

    // `done`: one, and how many rows there were.
    template <typename Done>
    static Result run(Server& server, const char* name, std::span<const One> all, bool with_values,
                      Done done) {
        if (all.empty()) return server.run("SELECT 1");
        if (!server.enter_pipeline()) return {};
        for (; !all.empty(); all = all.subspan(std::min(kChangesAtOnce, all.size()))) {
            const auto some = all.first(std::min(kChangesAtOnce, all.size()));
            for (const One& one : some) {
                const Row row = one.change->row();
                Parameters parameters;
                name_row(parameters, one.slot, row);
                if (with_values) {
                    parameters.add(std::int64_t{row.auth})
                        .add(row.changed.time_since_epoch().count())
                        .add(row.detail);
                }
                if (!server.send_prepared(name, parameters)) return {};
            }
            if (!server.sync()) return {};
            for (const One& one : some) {
                Result result = server.take_one();
                if (!result.good()) return result;
                done(one, result.affected());
            }
            Result end = server.take_sync();
            if (!end) return end;
        }
        return server.exit_pipeline() ? server.run("SELECT 1") : Result();
    }
};

Fault PostgreSql::write(std::span<const Batch* const> batches) {
    Fault fault = Fault::kNone;
    for (int i = 0; i < kTries; ++i) {
        Writing writing;
        fault = try_write(batches, writing);
        if (fault == Fault::kNone) {
            for (std::size_t slot = 0; slot < kSlots; ++slot) {
                counts_[slot] += static_cast<std::uint64_t>(writing.more[slot]);
            }
            return fault;
        }
        if (!may_pass_ || open() != Fault::kNone) break;
    }
    return fault;
}

Fault PostgreSql::try_write(std::span<const Batch* const> batches, Writing& writing) {
    std::vector<Writing::One> all;
    for (const Batch* batch : batches) {
        for (const auto& [key, change] : batch->changes) {
            const Row row = change.row();
            all.push_back({slot_of(row.xmpp, row.sip), &change});
            writing.slots.set(all.back().slot);
        }
    }
    Result result = server_->run("BEGIN");
    if (!result.good()) return fail(result, "can't be written");
    if (const Fault fault = hold(writing); fault != Fault::kNone) return fault;
    for (const Writing::One& one : all) {
        if (!writing.slots[one.slot]) {
            is_behind_ = true;  // what was theirs to say they will have said
        } else {
            (one.change->erased ? writing.erasures : writing.updates).push_back(one);
        }
    }
    result = Writing::run(*server_, "update", writing.updates, true,
                          [&](const Writing::One& one, std::uint64_t rows) {
                              if (rows == 0) writing.inserts.push_back(one);
                          });
    if (result.good()) {
        result =
            Writing::run(*server_, "insert", writing.inserts, true,
                         [&](const Writing::One& one, std::uint64_t) { ++writing.more[one.slot]; });
    }
    if (result.good()) {
        result = Writing::run(*server_, "erase", writing.erasures, false,
                              [&](const Writing::One& one, std::uint64_t rows) {
                                  writing.more[one.slot] -= static_cast<std::int64_t>(rows);
                              });
    }
    if (result.good()) result = server_->run("COMMIT");
    return result.good() ? Fault::kNone : fail(result, "can't be written");
}

// The fence: nobody takes a slot over until the transaction is done, and those that somebody has
// taken are left out.
Fault PostgreSql::hold(Writing& writing) {
    writing.slots &= mine_;
    const std::string slots = list_of(writing.slots);
    const std::string epochs = list_of(writing.slots, epochs_);
    Parameters parameters;
    parameters.add_text(slots).add_text(epochs);
    const Result held = server_->run(
        "SELECT slot FROM fedgate_slots WHERE (slot, epoch) IN "
        "(SELECT * FROM unnest($1::integer[], $2::bigint[])) FOR SHARE",
        parameters);
    if (!held.good()) return fail(held, "can't be written");
    writing.slots.reset();
    for (int i = 0; i < held.rows(); ++i) {
        writing.slots.set(static_cast<std::size_t>(held.number(i, 0)) % kSlots);
    }
    return Fault::kNone;
}

// ---- The pool

Fault PostgreSql::meet(Shares& shares) {
    is_behind_ = false;
    Fault fault = beat(shares);
    if (fault == Fault::kNone) fault = look_round();
    if (fault == Fault::kNone) fault = share_out(shares);
    return fault;
}

// The name is taken from whoever had it before: most likely this node, before it was killed. Who
// loses it is told, and waits until the other one is gone.
Fault PostgreSql::beat(Shares& shares) {
    Parameters parameters;
    parameters.add(node_).add(incarnation_);
    const Result beaten = server_->run(
        claimed_ ? "INSERT INTO fedgate_nodes (node, incarnation, beat) VALUES ($1, $2, 1) "
                   "ON CONFLICT (node) DO UPDATE SET beat = fedgate_nodes.beat + 1 "
                   "WHERE fedgate_nodes.incarnation = $2"
                 : "INSERT INTO fedgate_nodes (node, incarnation, beat) VALUES ($1, $2, 1) "
                   "ON CONFLICT (node) DO UPDATE SET beat = fedgate_nodes.beat + 1, "
                   "incarnation = $2",
        parameters);
    if (!beaten.good()) return fail(beaten, "can't be written");
    if (beaten.affected() != 0) {
        claimed_ = true;
        return Fault::kNone;
    }
    shares.lost |= std::exchange(mine_, {});
    if (const Fault fault = look_round(); fault != Fault::kNone) return fault;
    if (!is_alive(node_)) claimed_ = false;
    why_ = "is in use by another fedgated with the name " + node_;
    return Fault::kInUse;
}

// Nobody's clock is asked: a node is alive while its count goes on. Whoever was away himself has
// not seen it, and waits.
Fault PostgreSql::look_round() {
    const Result nodes = server_->run("SELECT node, incarnation, beat FROM fedgate_nodes");
    if (!nodes.good()) return fail(nodes, "can't be read");
    const auto now = Clock::now();
    const bool was_away = now - std::exchange(met_at_, now) > pace_.lease / 2;
    for (auto& [name, peer] : peers_) {
        peer.there = false;
        if (was_away) peer.since = now;
    }
    for (int i = 0; i < nodes.rows(); ++i) {
        const std::string name(nodes.bytes(i, 0));
        const std::int64_t incarnation = nodes.number(i, 1);
        const std::int64_t beat = nodes.number(i, 2);
        if (name == node_ && incarnation == incarnation_) continue;
        Peer& peer = peers_[name];
        if (peer.since == Clock::time_point() || peer.incarnation != incarnation ||
            peer.beat != beat) {
            peer.since = now;
        }
        peer.incarnation = incarnation;
        peer.beat = beat;
        peer.there = true;
    }
    std::erase_if(peers_, [](const auto& one) { return !one.second.there; });
    return Fault::kNone;
}

bool PostgreSql::is_alive(const std::string& node) const {
    const auto at = peers_.find(node);
    return at != peers_.end() && met_at_ - at->second.since < pace_.lease;
}

// Edges choose in the same way.
bool PostgreSql::is_ours(std::size_t slot) const {
    if (resigned_) return false;
    const std::uint64_t score = score_of(node_, slot);
    return std::ranges::none_of(peers_, [&](const auto& peer) {
        return is_alive(peer.first) && score_of(peer.first, slot) > score;
    });
}

Fault PostgreSql::share_out(Shares& shares) {
    const Result slots = server_->run("SELECT slot, owner, epoch FROM fedgate_slots");
    if (!slots.good()) return fail(slots, "can't be read");
    std::array<std::int64_t, kSlots> epochs{};
    Slots to_take;
    Slots orphans;  // of this node before it was killed, and others wait for them
    std::vector<std::string> owners;
    for (int i = 0; i < slots.rows(); ++i) {
        const auto slot = static_cast<std::size_t>(slots.number(i, 0));
        if (slot >= kSlots) continue;
        const Bytes owner = slots.bytes(i, 1);
        epochs[slot] = slots.number(i, 2);
        if (mine_[slot] && (owner != node_ || epochs[slot] != epochs_[slot])) {
            mine_.reset(slot);
            shares.lost.set(slot);
        }
        owners.emplace_back(owner);
        const bool ours = is_ours(slot);
        if (mine_[slot]) {
            shares.due.set(slot, !ours);
        } else if (owner.empty() || owner == node_ || !is_alive(owners.back())) {
            to_take.set(slot, ours);
            orphans.set(slot, !ours && owner == node_);
        }
    }
    if (orphans.any()) {
        if (const Fault fault = let_go(orphans, epochs); fault != Fault::kNone) return fault;
    }
    if (to_take.any()) {
        if (const Fault fault = take(to_take, epochs, shares.gained); fault != Fault::kNone) {
            return fault;
        }
    }
    for (const auto& [name, peer] : peers_) {  // who has nothing and says nothing is forgotten
        if (is_alive(name) || std::ranges::find(owners, name) != owners.end()) continue;
        Parameters parameters;
        parameters.add(name).add(peer.beat);
        static_cast<void>(
            server_->run("DELETE FROM fedgate_nodes WHERE node IN (SELECT node FROM fedgate_nodes "
                         "WHERE node = $1 AND beat = $2 FOR UPDATE SKIP LOCKED)",
                         parameters));
    }
    return Fault::kNone;
}

Fault PostgreSql::take(const Slots& slots, const std::array<std::int64_t, kSlots>& epochs,
                       Slots& gained) {
    const std::string numbers = list_of(slots);
    const std::string seen = list_of(slots, epochs);
    Parameters parameters;
    parameters.add(node_).add_text(numbers).add_text(seen);
    // What a slow transaction of its last owner holds is left for another turn.
    const Result taken = server_->run(
        "UPDATE fedgate_slots SET owner = $1, epoch = epoch + 1 WHERE slot IN "
        "(SELECT slot FROM fedgate_slots WHERE (slot, epoch) IN "
        "(SELECT * FROM unnest($2::integer[], $3::bigint[])) FOR UPDATE SKIP LOCKED) "
        "RETURNING slot, epoch",
        parameters);
    if (!taken.good()) return fail(taken, "can't be written");
    for (int i = 0; i < taken.rows(); ++i) {
        const auto slot = static_cast<std::size_t>(taken.number(i, 0)) % kSlots;
        epochs_[slot] = taken.number(i, 1);
        counts_[slot] = 0;  // until they are read
        mine_.set(slot);
        gained.set(slot);
    }
    return Fault::kNone;
}

Fault PostgreSql::let_go(const Slots& slots, const std::array<std::int64_t, kSlots>& epochs) {
    const std::string numbers = list_of(slots);
    const std::string seen = list_of(slots, epochs);
    Parameters parameters;
    parameters.add(node_).add_text(numbers).add_text(seen);
    const Result done = server_->run(
        "UPDATE fedgate_slots SET owner = '' WHERE slot IN "
        "(SELECT slot FROM fedgate_slots WHERE owner = $1 AND (slot, epoch) IN "
        "(SELECT * FROM unnest($2::integer[], $3::bigint[])) FOR UPDATE SKIP LOCKED)",
        parameters);
    return done.good() ? Fault::kNone : fail(done, "can't be written");
}

Fault PostgreSql::give_up(const Slots& slots) {
    const Slots given = slots & mine_;
    if (const Fault fault = let_go(given, epochs_); fault != Fault::kNone) return fault;
    mine_ &= ~given;
    return Fault::kNone;
}

void PostgreSql::retire() {
    if (!is_open() || give_up(mine_) != Fault::kNone) return;
    Parameters parameters;
    parameters.add(node_).add(incarnation_);
    static_cast<void>(
        server_->run("DELETE FROM fedgate_nodes WHERE node = $1 AND incarnation = $2", parameters));
}

std::string PostgreSql::describe_shares() const {
    std::string text = node_ + " has " + std::to_string(mine_.count()) + " of " +
                       std::to_string(kSlots) + " slots";
    for (const auto& [name, peer] : peers_) {
        if (is_alive(name)) text += ", " + name + " is there";
    }
    return text;
}

}  // namespace fedgate::store
