#include "appliance/gateway/address.hpp"

#include "core/base/byte_mask.hpp"
#include "sip/uri.hpp"

namespace fedgate::gateway {
namespace {

// Fills what follows from the enforced JID. `sink` is the rest of the address's memory.
bool complete(AddressView& address, Sink& sink) {
    address.domain_ascii = address.jid.domain;
    // Enforced, a domain has no A-labels: where it is ASCII, that is the other form, too.
    if (!is_ascii(address.jid.domain)) {
        const std::size_t host_begin = sink.size();
        if (!xml::domain_to_ascii(address.jid.domain, sink)) return false;
        address.domain_ascii = sink.written().substr(host_begin);
    }
    address.user = address.jid.local;
    if (address.user.find('\\') != Bytes::npos) {
        const std::size_t user_begin = sink.size();
        xml::unescape_local(address.jid.local, sink);
        address.user = sink.written().substr(user_begin);
    }
    return !sink.overflowed();
}

// ADDR-23: what no local part may hold.
bool has_control_or_replacement(Bytes text) {
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (byte < 0x20 || byte == 0x7F) return true;
    }
    return text.find("\xEF\xBF\xBD") != Bytes::npos;
}

// ADDR-28: +1-555(123) -> +1555123, user-part parameters dropped.
void write_phone(Bytes user, Sink& sink) {
    for (const char c : user.substr(0, user.find(';'))) {
        if (c != '-' && c != '.' && c != '(' && c != ')') sink.append(c);
    }
}

// ADDR-28: ^\+[0-9]{3,15}$
bool is_phone_number(Bytes user) {
    if (user.size() < 4 || user.size() > 16 || user[0] != '+') return false;
    return user.find_first_not_of("0123456789", 1) == Bytes::npos;
}

// ADDR-27: Lync's `;opaque=user:epid:X;gruu` -> X.
Bytes lync_instance(Bytes params) {
    constexpr Bytes kPrefix = "user:epid:";
    const sip::Parameter opaque = sip::find_parameter(params, "opaque");
    if (!opaque.value.starts_with(kPrefix) || !sip::find_parameter(params, "gruu")) return {};
    return opaque.value.substr(kPrefix.size());
}

bool write_resource(const sip::Uri& uri, Sink& sink, Bytes& resource) {
    const sip::Parameter gr = sip::find_parameter(uri.params, "gr");
    const Bytes instance = gr.found ? gr.value : lync_instance(uri.params);
    if (instance.empty()) return true;
    char decoded_memory[limits::kJidPartBytes];
    Sink decoded{MutableBytes(decoded_memory)};
    if (!sip::percent_decode(instance, decoded) || decoded.overflowed()) return false;
    const std::size_t begin = sink.size();
    if (!xml::enforce_resource(decoded.written(), sink)) return false;
    resource = sink.written().substr(begin);
    return true;
}

bool write_local(const sip::Uri& uri, Sink& sink, Bytes& local) {
    // ADDR-22, ADDR-23. Escaped text is longer than what it stands for: one part's bound is enough.
    char user_memory[limits::kJidPartBytes];
    char escaped_memory[3 * limits::kJidPartBytes];
    Sink user{MutableBytes(user_memory)};
    Sink escaped{MutableBytes(escaped_memory)};
    if (uri.scheme == sip::Scheme::kSip &&
        sip::equal_ignoring_case(sip::find_parameter(uri.params, "user").value, "phone")) {
        char phone_memory[limits::kJidPartBytes];
        Sink phone{MutableBytes(phone_memory)};
        write_phone(uri.user, phone);
        if (phone.overflowed() || !sip::percent_decode(phone.written(), user)) return false;
    } else if (!sip::percent_decode(uri.user, user)) {
        return false;
    }
    if (user.overflowed() || has_control_or_replacement(user.written())) return false;
    // ADDR-24..ADDR-26.
    if (!xml::escape_local(user.written(), escaped)) return false;
    const std::size_t begin = sink.size();
    if (!xml::enforce_local(escaped.written(), sink)) return false;
    local = sink.written().substr(begin);
    return xml::is_canonical_local(local);  // ADDR-31
}

}  // namespace

bool read_jid(Bytes text, AddressView& address, Sink& memory) {
    const auto jid = xml::parse_jid(text, memory);
    if (!jid || !xml::is_canonical_local(jid->local)) return false;
    address.jid = *jid;
    return complete(address, memory);
}

bool read_jid(Bytes text, Address& address) {
    Sink memory{MutableBytes(address.memory_)};
    return read_jid(text, address, memory);
}

void view_jid(Bytes text, Address& address) {
    Sink sink{MutableBytes(address.memory_)};
    const auto jid = xml::split_jid(text);
    FEDGATE_CHECK(jid.has_value());
    address.jid = *jid;
    FEDGATE_CHECK(complete(address, sink));
}

void write_aor(const AddressView& address, Sink& sink) {
    sink.append("sip:");
    if (!address.user.empty()) {
        sip::percent_encode_user(address.user, sink);
        sink.append('@');
    }
    sink.append(address.domain_ascii);
}

void write_phone_aor(const AddressView& address, Sink& sink) {
    write_aor(address, sink);
    if (is_phone_number(address.user)) sink.append(";user=phone");
}

void write_sender_uri(const AddressView& address, Sink& sink) {
    write_aor(address, sink);
    if (address.jid.resource.empty()) return;
    sink.append(";gr=");
    sip::percent_encode_gr(address.jid.resource, sink);
}

AddressFault read_uri(const sip::Uri& uri, Address& address) {
    Sink memory{MutableBytes(address.memory_)};
    return read_uri(uri, address, memory);
}

AddressFault read_uri(const sip::Uri& uri, AddressView& address, Sink& sink) {
    if (uri.scheme == sip::Scheme::kSips) return AddressFault::kSips;
    if (uri.scheme == sip::Scheme::kTel || uri.scheme == sip::Scheme::kOther)
        return AddressFault::kScheme;
    if (uri.at.kind != sip::HostKind::kName) return AddressFault::kHostIsAddress;
    const bool has_user = uri.has_user && !uri.user.empty();
    address.jid = {};
    if (has_user && !write_local(uri, sink, address.jid.local))
        return AddressFault::kNotRepresentable;
    const std::size_t begin = sink.size();
    if (!xml::enforce_domain(uri.at.host, sink)) return AddressFault::kNotRepresentable;
    address.jid.domain = sink.written().substr(begin);
    if (!write_resource(uri, sink, address.jid.resource)) return AddressFault::kNotRepresentable;
    if (!complete(address, sink)) return AddressFault::kNotRepresentable;
    return has_user ? AddressFault::kNone : AddressFault::kNoUser;
}

}  // namespace fedgate::gateway
