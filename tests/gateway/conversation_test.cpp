#include "appliance/gateway/conversation.hpp"

#include <set>
#include <string>

#include <gtest/gtest.h>

namespace fedgate::gateway {
namespace {

const KeyMaker kKeys({3, 5});
const Instant kStart{std::chrono::hours(1)};

Key key(int i) { return kKeys.make({std::to_string(i), "x"}); }

TEST(Key, KeepsPartsApart) {
    EXPECT_EQ(kKeys.make({"ab", "c"}), kKeys.make({"ab", "c"}));
    EXPECT_NE(kKeys.make({"ab", "c"}), kKeys.make({"a", "bc"}));
    EXPECT_NE(kKeys.make({"ab"}), kKeys.make({"ab", ""}));
    EXPECT_NE(kKeys.make({"ab"}), KeyMaker({4, 5}).make({"ab"}));
    EXPECT_NE(kKeys.make({std::string(16, 'a')}), kKeys.make({std::string(17, 'a')}));
    EXPECT_NE(kKeys.make({Bytes("a\0", 2)}), kKeys.make({"a"}));
    std::set<std::pair<std::uint64_t, std::uint64_t>> seen;
    std::array<int, 4> owners{};
    for (int i = 0; i < 10'000; ++i) {
        seen.emplace(key(i).high, key(i).low);
        ++owners[Conversations::owner_of(key(i), 4)];
    }
    EXPECT_EQ(seen.size(), 10'000u);
    for (const int count : owners) EXPECT_NEAR(count, 2'500, 250);
}

TEST(BlockPool, TakesFromALargerSizeAndStopsAtItsBound) {
    BlockPool pool(65'536, 16 * 65'536);  // of the largest three, by their share
    Block more = pool.take(60'000);
    Block first = pool.take(60'000);
    Block second = pool.take(60'000);
    ASSERT_TRUE(first && second);
    EXPECT_FALSE(pool.take(60'000));
    EXPECT_FALSE(pool.take(70'000));  // never fits
    first.reset();
    EXPECT_TRUE(pool.take(60'000));
    std::vector<Block> small;
    for (;;) {
        Block block = pool.copy({"abc", "def"});
        if (!block) break;
        ASSERT_EQ(block.bytes(), "abcdef");
        small.push_back(std::move(block));
    }
    EXPECT_GT(small.size(), 65'536u / 128);  // its own share and what larger ones had left
    EXPECT_LE(pool.reserved_bytes(), 16u * 65'536);
    small.clear();
    more.reset();
    second.reset();
    EXPECT_EQ(pool.used_bytes(), 0u);
}

TEST(BlockPool, GivesTheSmallestThatIsLargeEnough) {
    BlockPool pool(65'536, 4 << 20);
    const std::size_t sizes[] = {128, 256, 512, 768, 1'024, 2'048, 8'192, 49'152, 65'536};
    std::size_t before = 0;
    for (const std::size_t size : sizes) {
        for (const std::size_t wanted : {before + 1, size}) {
            const Block block = pool.take(wanted);
            EXPECT_EQ(block.memory().size(), size) << wanted;
            EXPECT_EQ(reinterpret_cast<std::uintptr_t>(block.memory().data()) % 64, 0u);
        }
        before = size;
    }
    EXPECT_EQ(pool.take(0).memory().size(), 128u);
    EXPECT_EQ(pool.used_bytes(), 0u);
    const std::size_t reserved = pool.reserved_bytes();
    for (const std::size_t size : sizes) EXPECT_TRUE(pool.take(size));  // what was given back
    EXPECT_EQ(pool.reserved_bytes(), reserved);
}

TEST(LoopGuard, CountsWithinAMinute) {  // SEC-3
    LoopGuard guard;
    for (int i = 0; i < 8; ++i) EXPECT_TRUE(guard.pass(1, 7, 8));
    EXPECT_FALSE(guard.pass(1, 7, 8));
    EXPECT_TRUE(guard.pass(2, 7, 8));
    EXPECT_TRUE(guard.pass(1, 8, 8));                                // the next minute
    for (int i = 0; i < 100; ++i) EXPECT_TRUE(guard.pass(1, 8, 0));  // no bound
    guard.forget(2);
}

TEST(Conversation, CountsCseqForEachCallId) {  // IM-5
    Conversation conversation(key(1));
    EXPECT_EQ(conversation.next_cseq(11), 1u);
    EXPECT_EQ(conversation.next_cseq(11), 2u);
    EXPECT_EQ(conversation.next_cseq(12), 1u);
    EXPECT_EQ(conversation.next_cseq(11), 3u);
}

TEST(Conversation, RemembersThreadsBehindCallIds) {  // IM-34
    BlockPool pool(65'536, 1 << 20);
    Conversation conversation(key(1));
    conversation.remember_thread(pool, "same", "same");  // nothing to remember
    EXPECT_EQ(conversation.find_thread("same"), "");
    conversation.remember_thread(pool, "t-1", "one thread");
    conversation.remember_thread(pool, "t-2", "another");
    EXPECT_EQ(conversation.find_thread("t-1"), "one thread");
    conversation.remember_thread(pool, "t-3", "a third");  // two at most
    EXPECT_EQ(conversation.find_thread("t-1"), "");
    EXPECT_EQ(conversation.find_thread("t-3"), "a third");
    conversation.remember_thread(pool, "t-4", std::string(kThreadBytesMax + 1, 'x'));
    EXPECT_EQ(conversation.find_thread("t-4"), "");
}

// Where it was last is only a place to look at first.
TEST(Conversations, AreFoundWhereTheyWereOrAnew) {
    Conversations conversations;
    Handle<Conversation> first;
    Handle<Conversation> second;
    Conversation* const one = conversations.open(key(1), kStart, first);
    ASSERT_NE(conversations.open(key(2), kStart + 1s, second), nullptr);
    const Handle<Conversation> place = first;
    EXPECT_EQ(conversations.open(key(1), kStart + 2s, first), one);
    EXPECT_EQ(first, place);
    Handle<Conversation> wrong = second;
    EXPECT_EQ(conversations.open(key(1), kStart + 3s, wrong), one);
    EXPECT_EQ(wrong, place);
    conversations.evict_idle(kStart + kConversationIdle + 3s, 100);  // both
    EXPECT_EQ(conversations.count(), 0u);
    EXPECT_EQ(conversations.peek(key(2)), nullptr);
    Handle<Conversation> taken;
    ASSERT_NE(conversations.open(key(3), kStart, taken), nullptr);
    ASSERT_NE(conversations.open(key(4), kStart, taken), nullptr);
    Conversation* const again = conversations.open(key(1), kStart, first);
    ASSERT_NE(again, nullptr);
    EXPECT_EQ(again->pair, key(1));
    EXPECT_NE(first, place);
    EXPECT_EQ(conversations.count(), 3u);
}

TEST(Conversations, IdleOnesLeave) {
    Conversations conversations;
    Handle<Conversation> handle;
    ASSERT_NE(conversations.open(key(1), kStart, handle), nullptr);
    Conversation* busy = conversations.open(key(2), kStart + 1s, handle);
    busy->busy = true;
    conversations.evict_idle(kStart + kConversationIdle - 1s, 100);
    EXPECT_EQ(conversations.count(), 2u);
    conversations.evict_idle(kStart + kConversationIdle + 2s, 100);
    EXPECT_EQ(conversations.count(), 1u);
    EXPECT_EQ(conversations.peek(key(1)), nullptr);
    EXPECT_EQ(conversations.peek(key(2)), busy);
}

TEST(Conversations, TheOneLongestIdleMakesRoom) {
    Conversations conversations;
    Handle<Conversation> handle;
    for (int i = 0; i < static_cast<int>(kConversations); ++i) {
        ASSERT_NE(conversations.open(key(i), kStart, handle), nullptr);
    }
    conversations.peek(key(0))->busy = true;
    ASSERT_NE(conversations.open(key(1), kStart + 1s, handle), nullptr);  // used again
    ASSERT_NE(conversations.open(key(-1), kStart + 2s, handle), nullptr);
    EXPECT_EQ(conversations.count(), kConversations);
    EXPECT_NE(conversations.peek(key(0)), nullptr);
    EXPECT_NE(conversations.peek(key(1)), nullptr);
    EXPECT_EQ(conversations.peek(key(2)), nullptr);
}

TEST(SenderRates, BoundEachSender) {  // S2S-65
    SenderRates rates;
    for (int i = 0; i < 60; ++i) EXPECT_TRUE(rates.take(key(1), 20, 60, kStart));
    EXPECT_FALSE(rates.take(key(1), 20, 60, kStart));
    EXPECT_TRUE(rates.take(key(2), 20, 60, kStart));
    rates.give_back(key(1), kStart);
    EXPECT_TRUE(rates.take(key(1), 20, 60, kStart));
    EXPECT_FALSE(rates.take(key(1), 20, 60, kStart));
    EXPECT_TRUE(rates.take(key(1), 20, 60, kStart + 1s));
    EXPECT_TRUE(rates.take(key(3), 0, 0, kStart));  // none
    for (int i = 10; i < 10 + static_cast<int>(kSenders) + 5; ++i)
        EXPECT_TRUE(rates.take(key(i), 20, 60, kStart));
    EXPECT_TRUE(rates.take(key(1), 20, 60, kStart));  // it had to make room
}

}  // namespace
}  // namespace fedgate::gateway
