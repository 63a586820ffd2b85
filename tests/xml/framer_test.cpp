#include "xml/framer.hpp"

#include <filesystem>
#include <fstream>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "xml/stanza_error.hpp"

namespace fedgate::xml {
namespace {

// What a whole input comes to: its frames, then how it ended.
struct Outcome {
    struct Cut {
        FrameKind kind;
        bool uses_stream_prefix;
        std::string bytes;
        bool operator==(const Cut&) const = default;
    };
    std::vector<Cut> frames;
    XmlFault fault = XmlFault::kNone;
    bool operator==(const Outcome&) const = default;
};

constexpr std::size_t kElementBytesMax = 10'000;

// Plays a connection: chunks arrive, what is consumed is dropped, and the buffer moves each time.
class Peer {
public:
    explicit Peer(std::size_t element_bytes_max = kElementBytesMax) {
        framer.set_element_bytes_max(element_bytes_max);
    }
    void feed(Bytes chunk) {
        buffer_ += chunk;
        for (;;) {
            const std::string moved = buffer_;
            Frame frame;
            const FrameStatus status = framer.next(moved, frame);
            if (status == FrameStatus::kMalformed) {
                outcome.fault = framer.fault();
                return;
            }
            ASSERT_LE(frame.consumed, buffer_.size());
            if (status == FrameStatus::kDone) {
                outcome.frames.push_back(
                    {frame.kind, frame.uses_stream_prefix, std::string(frame.bytes)});
            }
            buffer_.erase(0, frame.consumed);
            if (status == FrameStatus::kNeedMore) return;
        }
    }
    [[nodiscard]] const std::string& rest() const { return buffer_; }

    Framer framer;
    Outcome outcome;

private:
    std::string buffer_;
};

Outcome whole(Bytes input) {
    Peer peer;
    peer.feed(input);
    return peer.outcome;
}

Outcome split(Bytes input, std::size_t at) {
    Peer peer;
    peer.feed(input.substr(0, at));
    peer.feed(input.substr(at));
    return peer.outcome;
}

Outcome bytewise(Bytes input) {
    Peer peer;
    for (const char& c : input) peer.feed(Bytes(&c, 1));
    return peer.outcome;
}

struct Sample {
    std::string name;
    std::string bytes;
};

std::vector<Sample> read_corpus(const char* folder) {
    std::vector<Sample> samples;
    for (const auto& entry :
         std::filesystem::directory_iterator(std::string(FEDGATE_CORPUS "/xml/") + folder)) {
        std::ifstream file(entry.path(), std::ios::binary);
        samples.push_back({entry.path().filename().string(),
                           std::string(std::istreambuf_iterator<char>(file), {})});
    }
    return samples;
}

Bytes fault_name(XmlFault fault) {
    constexpr Bytes kNames[] = {"none",
                                "not_well_formed",
                                "restricted_xml",
                                "unsupported_encoding",
                                "bad_format",
                                "too_big",
                                "too_deep",
                                "too_many_attributes",
                                "too_many_prefixes",
                                "bad_namespace_prefix"};
    return kNames[static_cast<std::size_t>(fault)];
}

const std::string kHeader =
    "<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' "
    "xmlns:db='jabber:server:dialback'>";

Outcome of(Bytes after_header) { return whole(kHeader + std::string(after_header)); }

TEST(Framer, CutsTheGoodCorpus) {
    const auto samples = read_corpus("good");
    ASSERT_GE(samples.size(), 10U);
    for (const Sample& sample : samples) {
        const Outcome outcome = whole(sample.bytes);
        EXPECT_EQ(outcome.fault, XmlFault::kNone)
            << sample.name << ": " << fault_name(outcome.fault);
        ASSERT_GE(outcome.frames.size(), 2U) << sample.name;
        EXPECT_EQ(outcome.frames.front().kind, FrameKind::kStreamOpen) << sample.name;
        EXPECT_EQ(outcome.frames[1].kind, FrameKind::kElement) << sample.name;
    }
}

TEST(Framer, RefusesTheHostileCorpusForTheRightReason) {  // S2S-7
    const auto samples = read_corpus("hostile");
    ASSERT_GE(samples.size(), 80U);
    for (const Sample& sample : samples) {
        EXPECT_EQ(fault_name(whole(sample.bytes).fault),
                  sample.name.substr(0, sample.name.find('.')))
            << sample.name;
    }
}

TEST(Framer, GivesTheSameAtEverySplitPoint) {
    for (const char* folder : {"good", "hostile"}) {
        for (const Sample& sample : read_corpus(folder)) {
            const Outcome expected = whole(sample.bytes);
            EXPECT_EQ(bytewise(sample.bytes), expected) << sample.name;
            for (std::size_t at = 1; at < sample.bytes.size(); ++at) {
                ASSERT_EQ(split(sample.bytes, at), expected) << sample.name << " split at " << at;
            }
        }
    }
}

TEST(Framer, GivesTheSameForMutatedInputWholeAndSplit) {
    std::mt19937 random(20'240);
    const auto pick = [&random](std::size_t below) {
        return std::uniform_int_distribution<std::size_t>(0, below - 1)(random);
    };
    constexpr Bytes kSpice = "<>/!?&;='\"[]-: \n\x01\x80\xff\xe2#x";
    const auto samples = read_corpus("good");
    for (int round = 0; round < 4'000; ++round) {
        std::string bytes = samples[pick(samples.size())].bytes;
        for (std::size_t edits = 1 + pick(4); edits > 0; --edits) {
            const std::size_t at = pick(bytes.size());
            switch (pick(3)) {
                case 0: bytes[at] = kSpice[pick(kSpice.size())]; break;
                case 1: bytes.insert(at, 1, kSpice[pick(kSpice.size())]); break;
                default: bytes.erase(at, 1 + pick(8)); break;
            }
        }
        const Outcome expected = whole(bytes);
        ASSERT_EQ(split(bytes, pick(bytes.size())), expected) << bytes;
        if (round % 16 == 0) {
            ASSERT_EQ(bytewise(bytes), expected) << bytes;
        }
    }
}

TEST(Framer, FrameBytesAreTheElementOnly) {
    const Outcome outcome = of(" \n<presence/>\n <iq>x</iq></stream:stream > ");
    ASSERT_EQ(outcome.frames.size(), 4U);
    EXPECT_EQ(outcome.frames[0].bytes, kHeader);
    EXPECT_EQ(outcome.frames[1].bytes, "<presence/>");
    EXPECT_EQ(outcome.frames[2].bytes, "<iq>x</iq>");
    EXPECT_EQ(outcome.frames[3].bytes, "</stream:stream >");
    EXPECT_EQ(outcome.frames[3].kind, FrameKind::kStreamClose);
}

TEST(Framer, ConsumesKeepAlivesWithoutAFrame) {
    Peer peer;
    peer.feed(kHeader);
    peer.feed(" \n \n");
    EXPECT_TRUE(peer.rest().empty());
    EXPECT_EQ(peer.outcome.frames.size(), 1U);
}

TEST(Framer, WaitsForTheClosingTag) {
    Peer peer;
    peer.feed(kHeader + "<message><body>x</body></message");
    EXPECT_EQ(peer.outcome.frames.size(), 1U);
    peer.feed(">");
    EXPECT_EQ(peer.outcome.frames.size(), 2U);
}

TEST(Framer, KeepsWhatTheHeaderDeclares) {
    Peer peer;
    peer.feed(kHeader);
    const StreamScope& scope = peer.framer.scope();
    EXPECT_EQ(scope.default_namespace(), "jabber:server");
    EXPECT_EQ(scope.find("db"), "jabber:server:dialback");
    EXPECT_EQ(scope.find("stream"), "http://etherx.jabber.org/streams");
    EXPECT_EQ(scope.find("xml"), kXmlNamespace);
    EXPECT_EQ(scope.find("nope").data(), nullptr);
    peer.framer.reset();
    EXPECT_EQ(scope.find("db").data(), nullptr);
}

TEST(Framer, TellsWhetherAnElementLeansOnTheHeader) {
    const Outcome outcome =
        of("<db:result/><a:b xmlns:a='urn:a'/><db:c xmlns:db='urn:own'/><d xml:lang='en'/><e "
           "db:f=''/>");
    ASSERT_EQ(outcome.frames.size(), 6U);
    EXPECT_TRUE(outcome.frames[1].uses_stream_prefix);
    EXPECT_FALSE(outcome.frames[2].uses_stream_prefix);
    EXPECT_FALSE(outcome.frames[3].uses_stream_prefix);
    EXPECT_FALSE(outcome.frames[4].uses_stream_prefix);
    EXPECT_TRUE(outcome.frames[5].uses_stream_prefix);
}

TEST(Framer, BeginsAgainAfterReset) {
    Peer peer;
    peer.feed(kHeader + "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
    peer.framer.reset();
    peer.feed("<?xml version='1.0'?>" + kHeader + "<presence/>");
    EXPECT_EQ(peer.outcome.fault, XmlFault::kNone);
    ASSERT_EQ(peer.outcome.frames.size(), 4U);
    EXPECT_EQ(peer.outcome.frames[2].kind, FrameKind::kStreamOpen);
}

TEST(Framer, RecoversFromAFaultOnlyByReset) {
    Peer peer;
    peer.feed("x");
    Frame frame;
    EXPECT_EQ(peer.framer.next(kHeader, frame), FrameStatus::kMalformed);
    peer.framer.reset();
    EXPECT_EQ(peer.framer.next(kHeader, frame), FrameStatus::kDone);
}

// S2S-8: at the bound, one above, and as soon as it is exceeded.
TEST(Framer, HoldsTheElementBound) {
    const std::string element = "<a>" + std::string(100, 'x') + "</a>";
    const auto fed = [&](std::size_t max, std::size_t bytes) {
        Peer peer;
        peer.feed(kHeader);
        peer.framer.set_element_bytes_max(max);
        peer.feed(Bytes(element).substr(0, bytes));
        return peer.outcome;
    };
    EXPECT_EQ(fed(element.size(), element.size()).frames.size(), 2U);
    EXPECT_EQ(fed(element.size() - 1, element.size()).fault, XmlFault::kTooBig);
    EXPECT_EQ(fed(50, 50).fault, XmlFault::kNone);
    EXPECT_EQ(fed(50, 51).fault, XmlFault::kTooBig);
    Peer header(20);
    header.feed(Bytes(kHeader).substr(0, 21));
    EXPECT_EQ(header.outcome.fault, XmlFault::kTooBig);
}

// S2S-7: each limit at its value and one above.
TEST(Framer, HoldsTheCountBounds) {
    const auto nested = [](std::size_t depth) {
        std::string text;
        for (std::size_t i = 0; i < depth; ++i) text += "<a>";
        for (std::size_t i = 0; i < depth; ++i) text += "</a>";
        return text;
    };
    const auto attributes = [](std::size_t count, const std::string& name) {
        std::string text = "<a";
        for (std::size_t i = 0; i < count; ++i) text += " " + name + std::to_string(i) + "='u'";
        return text + "/>";
    };
    EXPECT_EQ(of(nested(limits::kXmlDepth)).frames.size(), 2U);
    EXPECT_EQ(of(nested(limits::kXmlDepth + 1)).fault, XmlFault::kTooDeep);
    EXPECT_EQ(of(attributes(limits::kXmlAttributes, "b")).frames.size(), 2U);
    EXPECT_EQ(of(attributes(limits::kXmlAttributes + 1, "b")).fault, XmlFault::kTooManyAttributes);
    EXPECT_EQ(of(attributes(limits::kXmlPrefixes, "xmlns:b")).frames.size(), 2U);
    EXPECT_EQ(of(attributes(limits::kXmlPrefixes + 1, "xmlns:b")).fault,
              XmlFault::kTooManyPrefixes);
    // Counted while in scope only.
    std::string brothers = "<a>";
    for (int i = 0; i < 100; ++i) brothers += "<b:c xmlns:b='urn:b'/>";
    EXPECT_EQ(of(brothers + "</a>").frames.size(), 2U);
}

TEST(Framer, RefusesAsSoonAsSeen) {
    EXPECT_EQ(of("<!-").fault, XmlFault::kRestrictedXml);
    EXPECT_EQ(of("<!D").fault, XmlFault::kRestrictedXml);
    EXPECT_EQ(of("<?").fault, XmlFault::kRestrictedXml);
    EXPECT_EQ(of("<a>&l").fault, XmlFault::kNone);
    EXPECT_EQ(of("<a>&lo").fault, XmlFault::kRestrictedXml);
    EXPECT_EQ(of("<a></b").fault, XmlFault::kNotWellFormed);
    EXPECT_EQ(of("<a>]]>").fault, XmlFault::kNotWellFormed);
}

TEST(Framer, ComparesEachAttributeNameWithAllBefore) {
    std::string tag = "<a";
    for (int i = 0; i < 200; ++i) tag += " n" + std::to_string(i) + "=''";
    EXPECT_EQ(of(tag + "/>").frames.size(), 2U);
    EXPECT_EQ(of(tag + " n0=''/>").fault, XmlFault::kNotWellFormed);
    EXPECT_EQ(of(tag + " n199=''/>").fault, XmlFault::kNotWellFormed);
}

// Text that ends, and special bytes that stand, at each place of a 16- and 32-byte block.
TEST(Framer, SearchesEveryPlaceOfABlock) {
    for (std::size_t size = 0; size < 140; ++size) {
        const std::string text(size, 'x');
        EXPECT_EQ(of("<a>" + text + "</a>").frames.size(), 2U) << size;
        EXPECT_EQ(of("<a b='" + text + "'/>").frames.size(), 2U) << size;
        EXPECT_EQ(of("<a>" + text + "\x02" + text + "</a>").fault, XmlFault::kNotWellFormed)
            << size;
        EXPECT_EQ(of("<a>" + text + "\xff" + text + "</a>").fault, XmlFault::kNotWellFormed)
            << size;
        EXPECT_EQ(of("<a>" + text + "&bad;" + text + "</a>").fault, XmlFault::kRestrictedXml)
            << size;
        EXPECT_EQ(of("<a b='" + text + "<" + text + "'/>").fault, XmlFault::kNotWellFormed) << size;
    }
}

TEST(Scan, AllVariantsFindTheSame) {
    std::mt19937 random(7);
    const FindSpecial best = resolve_find_special();
    for (int round = 0; round < 2'000; ++round) {
        std::string text(random() % 150, 'x');
        for (char& c : text)
            c = static_cast<char>(random() % 40 == 0 ? random() : 'a' + random() % 26);
        const char* const end = text.data() + text.size();
        const char* const expected = find_special_bytewise(text.data(), end, '<', '&', '>');
        EXPECT_EQ(best(text.data(), end, '<', '&', '>'), expected);
        EXPECT_EQ(find_special(best, text.data(), end, '<', '&', '>'), expected);
    }
}

TEST(XmlFault, HasAStreamError) {  // S2S-7, S2S-8
    EXPECT_EQ(stream_error(XmlFault::kNotWellFormed), StreamError::kNotWellFormed);
    EXPECT_EQ(stream_error(XmlFault::kRestrictedXml), StreamError::kRestrictedXml);
    EXPECT_EQ(stream_error(XmlFault::kUnsupportedEncoding), StreamError::kUnsupportedEncoding);
    EXPECT_EQ(stream_error(XmlFault::kBadFormat), StreamError::kBadFormat);
    EXPECT_EQ(stream_error(XmlFault::kBadNamespacePrefix), StreamError::kBadNamespacePrefix);
    EXPECT_EQ(stream_error(XmlFault::kTooBig), StreamError::kStanzaTooBig);
    for (const XmlFault fault :
         {XmlFault::kTooDeep, XmlFault::kTooManyAttributes, XmlFault::kTooManyPrefixes}) {
        EXPECT_EQ(stream_error(fault), StreamError::kPolicyViolation);
    }
}

}  // namespace
}  // namespace fedgate::xml
