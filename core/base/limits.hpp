// Every bound of the product that is not a configuration key, in one place, with its unit and what
// happens at it. Bounds that an administrator can set are keys (core/config); their defaults stand
// there.
#pragma once

#include <cstddef>
#include <cstdint>

namespace fedgate::limits {

// xml: RFC 6120 13.12, interworking S2S-7, S2S-8. At a bound: stream error policy-violation.
constexpr std::size_t kXmlDepth = 64;
constexpr std::size_t kXmlAttributes = 256;
constexpr std::size_t kXmlPrefixes = 32;
constexpr std::size_t kUnauthenticatedElementBytes = 10'000;
constexpr std::size_t kUnauthenticatedStreamBytes = 16'384;
constexpr std::size_t kJidPartBytes = 1'023;
// xml: one stream. Over kStreamPairs or kStreamQuestions: that pair or question is refused; over
// the sizes of a peer's key or stream id: policy-violation.
constexpr std::size_t kStreamPairs = 32;
constexpr std::size_t kStreamQuestions = 16;
constexpr std::size_t kDialbackKeyBytes = 256;
constexpr std::size_t kStreamIdBytes = 256;

// sip: interworking SIP-3. Header section over: 513 and close. A body over what im.max_bytes
// allows: 413, and it is skipped; over kSipSkippedBodyBytes: 413 and close.
constexpr std::size_t kSipSkippedBodyBytes = 1 << 20;
constexpr std::size_t kSipHeaderBytes = 32'768;
constexpr std::size_t kSipHeaders = 128;
constexpr std::size_t kSipVias = 64;
constexpr std::size_t kSipDatagramRequestBytes = 1'300;  // IM-18, SIP-7

// sip: what one dialog keeps (SIP-16): routes, and bytes of all its texts. Over: the request that
// makes it is refused with 513.
constexpr std::size_t kSipRoutes = 32;
constexpr std::size_t kSipDialogBytes = 4'096;
// sip: what a notifier may ask of a subscriber; beyond, the bound holds. A subscription is not
// taken for shorter, a next try not put off for longer.
constexpr std::uint32_t kSubscriptionSecondsMin = 10;
constexpr std::uint32_t kRetrySecondsMax = 86'400;

// sip: a session description (RFC 8866): its bytes, its m= lines, the MSRP URIs of one path
// (RFC 4975). Over: the offer is refused with 488.
constexpr std::size_t kSdpBytes = 16'384;
constexpr std::size_t kSdpMedia = 16;
constexpr std::size_t kMsrpPathBytes = 1'024;

// sip: MSRP (RFC 4975). Header section, header fields and URIs of a path over: the connection ends.
// A body over the session's max-size: 413, and it is skipped; over kMsrpSkippedBytes: the
// connection ends. A Content-Type over: 415. Ours: bytes of a chunk (SESS-22).
constexpr std::size_t kMsrpHeaderBytes = 8'192;
constexpr std::size_t kMsrpHeaders = 64;
constexpr std::size_t kMsrpPathUris = 8;
constexpr std::size_t kMsrpSkippedBytes = 1 << 20;
constexpr std::size_t kMsrpContentTypeBytes = 255;
constexpr std::size_t kMsrpChunkBytes = 2'048;
// sip: of one MSRP session: messages that came in part, pieces of one with gaps between them (at
// either bound: 413), and messages of ours whose fate is not known (at the bound: back-pressure).
// Of those, that were answered 200 and of which nobody asks but for a failure behind that: the
// oldest gives way.
constexpr std::size_t kMsrpPartials = 4;
constexpr std::size_t kMsrpPieces = 8;
constexpr std::size_t kMsrpUnsettled = 32;
constexpr std::size_t kMsrpMayFail = 8;
// sip: room for the answer to any MSRP request.
constexpr std::size_t kMsrpAnswerBytes = kMsrpHeaderBytes + 256;

// gateway: GEN-5. At the bound: resource-constraint to the sender.
constexpr std::size_t kPairQueueStanzas = 50;
// gateway: what is kept of one entity's presence for one watcher. Over: the oldest resource is
// forgotten. Notes of one resource: more are dropped, a longer text is cut.
constexpr std::size_t kResources = 16;
constexpr std::size_t kPresenceBytes = 8'192;
constexpr std::size_t kNotes = 8;
constexpr std::size_t kNoteBytes = 1'024;  // of all notes of one resource
// gateway: a presence document of SIP. Over: it is not taken (PRES-17); tuples over kResources are
// not looked at.
constexpr std::size_t kPidfBytes = 65'536;

// edge: DNS-9, S2S-66. At the bound: the stanza is refused with resource-constraint.
constexpr std::size_t kDomainPairQueueStanzas = 1'000;
constexpr std::size_t kDomainPairQueueBytes = 1 << 20;
// edge: errors for messages of partners that wait, of one shard; they may pass the bounds of a
// queue (its partner is not read meanwhile). At the bound: lost, counted and logged.
constexpr std::size_t kErrorsWaitingBytes = 64 << 20;
constexpr std::size_t kUnsentBytes = 4 << 20;
// edge: written and not acknowledged (XEP-0198) on one stream. At the bound: what follows waits.
constexpr std::size_t kUnacknowledgedStanzas = 1'000;
// edge: the bytes of them that are kept where the session can be resumed: xmpp.queue.bytes, but no
// more than a new connection takes at once. At the bound: what follows waits.
constexpr std::size_t kKeptBytes = kUnsentBytes / 2;
// edge: pairs of domains with an outbound stream or a queue, for each shard. At the bound: refused.
constexpr std::size_t kOutStreams = 65'536;
// edge: of them, those of the domains below one partner's pattern, or of all that are only
// discovered. At the bound: refused, and nobody else is.
constexpr std::size_t kOutStreamsOfPattern = kOutStreams / 4;
// edge: domains that were ours and are not any more (S2S-4). At the bound: the oldest is unknown.
constexpr std::size_t kGoneDomains = 64;
// edge: sessions of partners that can be resumed (XEP-0198), for each shard: in all, and, without a
// stream, for one partner, and for the domains below one pattern or all that are only discovered.
// At a bound the oldest of them that have no stream go. Records about sessions that wait for a
// mailbox: a session more is not made known, and can't be resumed.
constexpr std::size_t kSessions = 16'384;
constexpr std::size_t kSessionsPerPartner = 64;
constexpr std::size_t kSessionsOfPattern = kSessions / 4;
constexpr std::size_t kSessionRecords = 16'384;
// edge: streams lost to one server within a second, on all shards together and on one at least
// (DNS-9). At the bound: what is lost beyond it is set up again spread over a minute. Servers that
// are counted at a time, on each shard: with one more the count of the oldest begins anew.
constexpr std::size_t kMassLossStreams = 50;
constexpr std::size_t kMassLossStreamsOfShardMin = 10;
constexpr std::size_t kMassLossServers = 64;
// edge: dialback questions in progress: for each shard, for one stream that asks for them, for one
// address. At the bound: answered with resource-constraint.
constexpr std::size_t kVerifications = 1'024;
constexpr std::size_t kVerificationsPerStream = 8;
constexpr std::size_t kVerificationsPerAddress = 32;
// edge: domains whose TLSA records are being asked for, for each shard. At the bound: a certificate
// of another one proves nothing.
constexpr std::size_t kInquiries = 1'024;
// edge: streams whose certificate is judged anew in one turn after a reload, in each direction, for
// each shard; up to some hundred microseconds each. At the bound: the others have theirs in the
// next turns.
constexpr std::size_t kRejudgedPerTurn = 16;
// edge: last failures of partners, for each shard and direction. At the bound: the oldest one of a
// domain that is only discovered, or below a pattern, is forgotten. A text over kLogLineBytes is
// cut.
constexpr std::size_t kRememberedFailures = 1'024;
// edge: partners whose certificates' ends are known, for each shard. At the bound: the one that
// ends last is forgotten.
constexpr std::size_t kSeenCertificates = 16'384;
// edge: addresses whose connections are counted. At the bound: new ones are refused.
constexpr std::size_t kCountedAddresses = 65'536;

// edge: domains that dialback questions are counted for, and partners whose connections are. At
// the bound: a domain more is held by the bounds of its addresses only.
constexpr std::size_t kCountedDomains = 16'384;

// link: one frame, and in it one stanza (no xmpp.limits.stanza_bytes is larger); over: the link
// ends, as with a peer that does not speak its language. Texts for people are cut.
constexpr std::size_t kLinkStanzaBytes = 16 << 20;
constexpr std::size_t kLinkFrameBytes = kLinkStanzaBytes + (64 << 10);
constexpr std::size_t kLinkTextBytes = 1'024;
constexpr std::size_t kLinkLinesBytes = 16'384;  // header lines of an answer
constexpr std::size_t kLinkBodyBytes = 16'384;   // its body: an SDP
// link: bytes that were sent and are not acknowledged, for each lane; alone, any frame passes. At
// the bound: nothing more is taken from whoever sends (back-pressure). A peer that sends more is
// put out.
constexpr std::size_t kLinkWindowBytes = 4 << 20;
// link: frames and bytes after which they are acknowledged at once.
constexpr std::size_t kLinkAckFrames = 64;
constexpr std::size_t kLinkAckBytes = kLinkWindowBytes / 8;
// link: what waits for a connection: the windows, and what is said without being numbered. At the
// bound: the peer does not read, and the connection is given up.
constexpr std::size_t kLinkUnsentBytes = 2 * (kLinkWindowBytes + kLinkFrameBytes) + (1 << 20);
// link: stanzas given to the other side whose fate has not been told, for each shard; and outcomes
// that wait for a link. At the bound: back-pressure.
constexpr std::size_t kLinkTickets = 1 << 17;
constexpr std::size_t kLinkOutcomes = 1 << 14;
// link: what came back from a link that is over and waits for another one, for each shard. At the
// bound: its sender is told, or, of an answer, it is counted as lost.
constexpr std::size_t kLinkAgainBytes = 2 * kLinkWindowBytes;
// link: connections to an edge's link that have not said who they are (at the bound: one goes, of
// the address that has most), and links of one peer's process (at the bound: refused).
constexpr std::size_t kLinkGuests = 64;
constexpr std::size_t kLinkParts = 256;
// link: edges that a gateway connects to. At the bound: what SRV records name more is left out.
constexpr std::size_t kLinkEdges = 64;
// link: pairs of domains whose edge is known, for each shard. At the bound: those that nothing is
// on its way of are forgotten; any other one more may be overtaken where its edge changes.
constexpr std::size_t kLinkPairs = 65'536;
// link: what is published of one commit, and the piece of it that a frame carries; pieces that are
// on their way, so that news find room beside them; nodes that a peer tells of. Over the first: a
// commit is not made, a peer that sends one is put out. Over the last: they are not shown.
constexpr std::size_t kCommitBytes = 16 << 20;
constexpr std::size_t kCommitPieceBytes = 16 << 10;
constexpr std::size_t kCommitSentBytes = 1 << 20;
static_assert(kCommitSentBytes <= kLinkWindowBytes / 2);
constexpr std::size_t kTopologyNodes = 256;
// link: who has signed a commit: the lines behind it, and in them certificates. Over: it is not
// made, or not taken. How far a commit's number may be above the newest one that is known: one that
// is further is not taken, so that nobody can use the numbers up.
constexpr std::size_t kCommitProofBytes = 64 << 10;
constexpr std::size_t kCommitCertificates = 8;
constexpr std::uint64_t kCommitsAhead = 1'000'000;
constexpr std::size_t kDialbackSecretBytes = 256;

// store: changes that wait for the disk, and their bytes, for each shard. At a bound: a new promise
// is refused, a change of what stands is left out. Over kStoreDetailBytes: the same.
constexpr std::size_t kStoreWaiting = 65'536;
constexpr std::size_t kStoreWaitingBytes = 64 << 20;
constexpr std::size_t kStoreDetailBytes = 32'768;

// run: two mailboxes for each ordered pair of shards (RecordUse). At the bound: back-pressure on
// the producer.
constexpr std::size_t kMailboxBytes = 4 << 20;
// At the bound: the rest of the records waits for the next turn (which follows at once).
constexpr std::size_t kMailboxRecordsPerTurn = 256;
// Longest stanza that goes from shard to shard before anybody has refused it: with the declarations
// of its stream (kUnauthenticatedElementBytes) it fits into a record. No
// xmpp.limits.stanza_bytes of an edge alone is larger.
constexpr std::size_t kPassedStanzaBytes = 1 << 20;
static_assert(kPassedStanzaBytes + 2 * kUnauthenticatedElementBytes < kMailboxBytes / 2);
// Functions from the control thread that wait for a shard. At the bound: post() says no.
constexpr std::size_t kPostedFunctions = 1'024;
// Kinds of records between shards.
constexpr std::size_t kRecordKinds = 64;
// Log ring of a shard; at the bound lines are dropped and counted. A line over its bound is cut.
constexpr std::size_t kLogBytes = 256 << 10;
constexpr std::size_t kLogLineBytes = 1'024;
// Lines of one event in a second, for each shard; more are counted, and the next line tells how
// many.
constexpr std::uint32_t kLogLinesPerSecond = 10;
// Events that the daemon keeps for `fedctl events`, at most kLogLineBytes each. The oldest go
// first; who reads on is told how many he missed.
constexpr std::size_t kEventsKept = 4'096;

static_assert(kUnauthenticatedElementBytes <= kUnauthenticatedStreamBytes);
static_assert(kDomainPairQueueBytes <= kUnsentBytes);

}  // namespace fedgate::limits
