// What is known of one entity's resources, newest first, for one watcher (PRES-20): what a SIP
// watcher is told of an XMPP contact, or what an XMPP user was told of a SIP contact.
//
// Owner: a subscription record. An object is 16 bytes and, while something is known, one text of
// some 30 bytes for each resource and its notes, in memory of a multiple of 32; views are valid
// until the next change. Limits: limits::kResources, limits::kPresenceBytes.
#pragma once

#include <cstdint>
#include <memory>
#include <utility>

#include "appliance/gateway/pidf.hpp"
#include "appliance/gateway/presence.hpp"
#include "core/base/bytes.hpp"

namespace fedgate::gateway {

class Presences {
public:
    class Iterator {
    public:
        Iterator(const char* at, const char* end) : at_(at), end_(end) { read(); }
        const Presence& operator*() const { return presence_; }
        const Presence* operator->() const { return &presence_; }
        Iterator& operator++() {
            at_ = next_;
            read();
            return *this;
        }
        bool operator!=(const Iterator& other) const { return at_ != other.at_; }

    private:
        void read();
        const char* at_;
        const char* end_;
        const char* next_ = nullptr;
        Presence presence_;
    };

    Presences() = default;
    Presences(Presences&& other) noexcept { swap(other); }
    Presences& operator=(Presences&& other) noexcept {
        Presences(std::move(other)).swap(*this);
        return *this;
    }

    // What one resource says now; unavailable from the bare JID is that of all. When the last one
    // is gone it stays, unavailable (PRES-13). False: nothing new to whoever sees it.
    bool set(const Presence&);
    // The resource is gone.
    bool remove(Bytes resource);
    // Nothing is known any more.
    void clear();
    // Whoever is there is asked to say so again: drop_doubted() takes all for gone of whom set()
    // did not follow. True: what is known has changed.
    void doubt();
    [[nodiscard]] bool drop_doubted();

    // What is known, newest first: all available resources, or one unavailable (which has no
    // resource where it was never announced). Not those of restore().
    [[nodiscard]] Iterator begin() const;
    [[nodiscard]] Iterator end() const { return {text_.get() + size_, text_.get() + size_}; }
    [[nodiscard]] bool empty() const { return !(begin() != end()); }
    [[nodiscard]] std::size_t available_count() const;
    [[nodiscard]] std::size_t bytes() const { return size_; }  // on the heap

    // ---- What an XMPP user was told of a SIP contact

    // PRES-14, PRES-15: calls send(presence) for each stanza that the new document makes, first
    // what is new or has changed, then who is gone. When send() is false it stops and is false
    // too, and what was sent is kept: the same document again sends the rest.
    template <typename Send>
    [[nodiscard]] bool diff(const Document& document, Send&& send) {
        if (!announce(document, send)) return false;
        bool took_back = false;
        Presence gone;
        while (find_gone(document, gone)) {
            if (!send(std::as_const(gone))) return false;
            drop(gone.resource);
            took_back = true;
        }
        if (!announce(document, send)) return false;  // what there was no room for
        if (!find_offline(document, gone) || is_current(gone)) return true;
        if (!took_back && !send(std::as_const(gone))) return false;
        put(gone);
        return true;
    }
    // `unavailable` for each announced resource, those of restore() too; as diff(). In the end
    // nothing is known.
    template <typename Send>
    [[nodiscard]] bool take_back(Send&& send) {
        Presence gone;
        while (find_announced(gone)) {
            if (!send(std::as_const(gone))) return false;
            drop(gone.resource);
        }
        clear();
        return true;
    }
    // The announced resources as one text without NUL, for the store. After restore() their state
    // is not known: the next document announces them anew, or takes them back.
    void save(Sink&) const;
    void restore(Bytes saved);

private:
    void swap(Presences& other) noexcept {
        std::swap(text_, other.text_);
        std::swap(size_, other.size_);
    }
    template <typename Send>
    [[nodiscard]] bool announce(const Document& document, Send& send) {
        for (const Presence& tuple : document.tuples()) {
            if (!tuple.available || is_current(tuple) || !has_room(tuple)) continue;
            if (!send(tuple)) return false;
            put(tuple);
        }
        return true;
    }
    [[nodiscard]] Bytes text() const { return {text_.get(), size_}; }
    [[nodiscard]] bool is_current(const Presence&) const;
    template <typename Change>
    void change_flags(Change&&);
    [[nodiscard]] bool is_announced(Bytes resource) const;
    [[nodiscard]] bool has_room(const Presence&) const;
    // An announced resource, said to be unavailable; false: there is none.
    [[nodiscard]] bool find_announced(Presence& gone) const;
    // The same of one that is not open in the document.
    [[nodiscard]] bool find_gone(const Document&, Presence& gone) const;
    // PRES-15: nothing is open, and nothing announced.
    [[nodiscard]] bool find_offline(const Document&, Presence& offline) const;
    template <typename Keep>
    void rebuild(const Presence* front, Keep&& keep);
    void put(const Presence&);
    void drop(Bytes resource);
    void forget_oldest();

    std::unique_ptr<char[]> text_;
    std::uint32_t size_ = 0;
};

// PRES-13: the document of all that is known, which is not nothing.
Bytes write_pidf(Bytes aor, const Presences&, bool notes_allowed, Sink&,
                 PidfForm = PidfForm::kStandard);

}  // namespace fedgate::gateway
