/*
 * The delivery protocol of docs/protocol.md, for one client, one partition and a few pods. One process for each part:
 *
 *   Client ──▶ events ──▶ EventConsumer ──▶ results ──▶ Router ──▶ backlog ──▶ ReplayConsumer ──▶ mailbox
 *      ▲          ▲ barriers                   ▲ acks      │ pushes                                  │
 *      └──────────┴───────────── Gateway ──────┴───────────┴─────────────────────────────────────────┘
 *
 * `Faults` breaks things; `Peace` asks, in every state, whether everything heals once nothing breaks any more. A rule
 * is taken out with -DNO_RULE_<name>; see rules.ts. Bounds and faults are chosen with the macros of bounds.pml.
 *
 * What a channel may do, it does here: a datagram, once sent, may arrive at any time, again and again, or never. So
 * there are no queues of datagrams, but sets of what was ever said (`pushed`, `passed_on`), and to lose, delay, reorder
 * or repeat is to look at a set late, often or never. To hold a push is to let the channel delay it.
 */
#include "bounds.pml"
#include "state.pml"
#include "replay.pml"
#include "invariants.pml"
#include "events.pml"
#include "router.pml"
#include "mailbox.pml"
#include "registry.pml"
#include "gateway.pml"
#include "client.pml"
#include "faults.pml"
#include "peace.pml"

init {
  atomic {
    owner = 1;
    router[1].runs = true;
#if OWNERS
    events_owner = 1;
#endif
    begin();
    run Client();
    for (n : 1 .. CONSUMERS) { run EventConsumer(n) }
    for (n : 1 .. ROUTERS) { run Router(n) }
    run ReplayConsumer();
    for (n : 1 .. PODS) { run Gateway(n) }
    run Faults();
    run Peace()
  }
}
