// The forecast against the stream engine itself: all 18 rows, all that a server may offer.
#include "appliance/admin/forecast.hpp"

#include <gtest/gtest.h>

#include "tests/xml/stream_support.hpp"

namespace fedgate::admin {
namespace {

using rules::Negotiation;
using xml::Action;
using xml::Proof;
using xml::Stream;
using xml::StreamPolicy;

struct Met {
    std::uint8_t method = 0;
    std::string proof;
};

// A stream of ours with a server that offers this, and takes whatever we prove.
Met stream_with(const Negotiation& row, const Offer& offer) {
    using namespace rules::method;
    Met met;
    xml::test::Owner ours(StreamPolicy{.allowed = true,
                                       .external = row.allows(kSaslTls),
                                       .dialback_tls = row.allows(kDialbackTls),
                                       .dialback_clear = row.allows(kDialbackClear)});
    const auto greet = [&](bool dialback, const std::string& features) {
        ours.feed(
            "<?xml version='1.0'?><stream:stream xmlns='jabber:server' "
            "xmlns:stream='http://etherx.jabber.org/streams' version='1.0' id='1' "
            "from='xmpp.example' to='sip.example'>"
            "<stream:features>" +
            features +
            (dialback ? "<dialback xmlns='urn:xmpp:features:dialback'/>" : std::string()) +
            "</stream:features>");
    };
    ours.connect(Stream::Role::kOutbound, "sip.example", "xmpp.example");
    if (ours.stream->state() == xml::StreamState::kClosed) return met;
    ours.take_out();
    greet(offer.clear_dialback,
          offer.tls ? std::string("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'>") +
                          (offer.tls_required ? "<required/>" : "") + "</starttls>"
                    : std::string());
    std::string said = ours.take_out();
    bool secured = false;
    if (said.contains("<starttls")) {
        if (!offer.secured) return met;
        ours.feed("<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
        secured = true;
        ours.secure(
            xml::test::certificate_of({offer.certificate ? "xmpp.example" : "another.example"}));
        ours.take_out();
        if (ours.stream->state() == xml::StreamState::kClosed) return met;
        greet(offer.dialback, offer.external
                                  ? "<mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>"
                                    "<mechanism>EXTERNAL</mechanism></mechanisms>"
                                  : "");
        said = ours.take_out();
    }
    if (said.contains("<auth")) {
        met.method = kSaslTls;
        ours.feed("<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>");
        greet(false, "");
    } else if (said.contains("<db:result")) {
        met.method = secured ? kDialbackTls : kDialbackClear;
        ours.feed(
            "<db:result xmlns:db='jabber:server:dialback' from='xmpp.example' to='sip.example' "
            "type='valid'/>");
    }
    const auto* pair = ours.last(Action::Kind::kPair);
    EXPECT_EQ(pair != nullptr, met.method != 0);
    if (pair != nullptr) {
        met.proof = pair->proof == Proof::kCertificate   ? "certificate"
                    : pair->proof == Proof::kDialbackTls ? "dialback over TLS"
                                                         : "dialback in clear";
    }
    return met;
}

Offer offer_of(unsigned bits) {
    const auto bit = [bits](unsigned which) { return (bits >> which & 1) != 0; };
    Offer offer;
    offer.clear_dialback = bit(0);
    offer.tls = bit(1);
    if (!offer.tls) return offer;
    offer.tls_required = bit(2);
    offer.secured = bit(3);
    if (!offer.secured) return offer;
    offer.certificate = bit(4);
    offer.external = bit(5);
    offer.dialback = bit(6) || offer.clear_dialback;  // who has shown it has it within TLS, too
    return offer;
}

TEST(Forecast, IsWhatAStreamThenDoes) {
    unsigned up = 0;
    for (const Negotiation& row : rules::negotiations()) {
        for (unsigned bits = 0; bits < 128; ++bits) {
            const Offer offer = offer_of(bits);
            const Forecast said = forecast(row, offer);
            const Met met = stream_with(row, offer);
            ASSERT_EQ(said.method, met.method) << rules::methods_text(row) << ", offer " << bits;
            ASSERT_EQ(said.proof, met.proof) << rules::methods_text(row) << ", offer " << bits;
            ASSERT_EQ(said.method == 0, !said.why.empty());
            up += met.method != 0;
        }
    }
    EXPECT_GT(up, 400u);
}

// Not only that it works: nothing that is safer does.
TEST(Forecast, ProposesTheSafestThatWorks) {
    for (unsigned bits = 0; bits < 128; ++bits) {
        const Offer offer = offer_of(bits);
        const Negotiation* const best = safest(offer);
        std::uint8_t least = 8;  // the methods of rules::method from the safest on
        for (const Negotiation& row : rules::negotiations()) {
            const std::uint8_t method = forecast(row, offer).method;
            if (method != 0) least = std::min(least, method);
        }
        ASSERT_EQ(best != nullptr, least != 8) << bits;
        if (best != nullptr) {
            ASSERT_EQ(forecast(*best, offer).method, least) << bits;
        }
    }
    Offer offer = offer_of(127);
    EXPECT_TRUE(safest(offer)->strict());
    offer.external = false;  // our certificate is not good for them
    EXPECT_EQ(safest(offer)->tls, rules::Need::kRequired);
    EXPECT_EQ(forecast(*safest(offer), offer).proof, "certificate");
}

}  // namespace
}  // namespace fedgate::admin
