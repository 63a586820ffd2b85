#include "core/base/growing_index.hpp"

#include <deque>
#include <random>
#include <unordered_map>

#include <gtest/gtest.h>

namespace fedgate {
namespace {

struct Name {
    std::uint64_t low = 0;
    std::uint64_t high = 0;
    friend bool operator==(const Name&, const Name&) = default;
};

struct Item {
    Name name;
    Item* next = nullptr;
};

using Index = GrowingIndex<Item, &Item::name, &Item::next>;

// Against a model: what is in it is found, and nothing else, however it grows and shrinks.
TEST(GrowingIndex, FindsWhatIsThere) {
    std::mt19937_64 random(11);
    std::deque<Item> items;
    std::unordered_map<std::uint64_t, Item*> model;
    Index index;
    for (int i = 0; i < 20'000; ++i) {
        items.push_back({{random(), static_cast<std::uint64_t>(i)}, nullptr});
        index.insert(items.back());
        model[static_cast<std::uint64_t>(i)] = &items.back();
        if (i % 3 == 0) {
            Item& gone = items[random() % items.size()];
            if (model.erase(gone.name.high) == 1) index.erase(gone);
        }
    }
    ASSERT_EQ(index.count(), model.size());
    for (const Item& item : items) {
        const auto there = model.find(item.name.high);
        EXPECT_EQ(index.find(item.name), there == model.end() ? nullptr : there->second);
    }
    EXPECT_EQ(index.find(Name{1, 2}), nullptr);
}

// Keys that share the low half are kept apart by the whole.
TEST(GrowingIndex, ComparesWholeKeys) {
    std::deque<Item> items;
    Index index;
    for (std::uint64_t i = 0; i < 100; ++i) {
        items.push_back({{7, i}, nullptr});
        index.insert(items.back());
    }
    for (Item& item : items) EXPECT_EQ(index.find(item.name), &item);
    index.erase(items[50]);
    EXPECT_EQ(index.find(items[50].name), nullptr);
    EXPECT_EQ(index.count(), 99u);
}

}  // namespace
}  // namespace fedgate
