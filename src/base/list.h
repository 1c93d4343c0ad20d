/*
 * An intrusive, circular, doubly linked list. A head is a link to itself when the list is empty; a
 * node that is on no list has next == NULL.
 */
#ifndef WEFT_BASE_LIST_H
#define WEFT_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct weft__link {
    struct weft__link *next;
    struct weft__link *prev;
};

static inline void weft__list_init(struct weft__link *head)
{
    head->next = head;
    head->prev = head;
}

static inline bool weft__list_is_empty(const struct weft__link *head)
{
    return head->next == head;
}

static inline bool weft__list_has(const struct weft__link *node)
{
    return node->next != NULL;
}

static inline void weft__list_append(struct weft__link *head, struct weft__link *node)
{
    node->next = head;
    node->prev = head->prev;
    head->prev->next = node;
    head->prev = node;
}

static inline void weft__list_remove(struct weft__link *node)
{
    /* The analyzer cannot follow a ring through its head: a node on a list has neighbours. */
    /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference) */
    node->next->prev = node->prev;
    node->prev->next = node->next;
    node->next = NULL;
    node->prev = NULL;
}

/* Takes the oldest node off, or NULL. */
static inline struct weft__link *weft__list_take(struct weft__link *head)
{
    struct weft__link *node = head->next;
    if (node == head)
        return NULL;
    weft__list_remove(node);
    return node;
}

/* Moves all nodes of `from` to the empty list `to`. */
static inline void weft__list_move(struct weft__link *from, struct weft__link *to)
{
    weft__list_init(to);
    if (weft__list_is_empty(from))
        return;
    to->next = from->next;
    to->prev = from->prev;
    to->next->prev = to;
    to->prev->next = to;
    weft__list_init(from);
}

#endif
