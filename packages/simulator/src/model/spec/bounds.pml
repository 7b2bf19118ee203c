/* How much may happen. Each bound, and each fault, is a macro that a mix sets; 0 is never. */
#ifndef EVENTS
#define EVENTS 2      /* results of the client */
#endif
#ifndef OTHERS
#define OTHERS 0      /* results of another client of the partition, who is away */
#endif
#ifndef SESSIONS
#define SESSIONS 2    /* connections */
#endif
#ifndef BARRIERS
#define BARRIERS 2    /* in the events topic, repeats included */
#endif
#ifndef PODS
#define PODS 2
#endif
#ifndef ROUTERS
#define ROUTERS 2     /* at once: the owner, and zombies */
#endif
#ifndef DLQ
#define DLQ 4         /* records that wait in the backlog; all that ever were, where the mailboxes roll back */
#endif
#ifndef WINDOW
#define WINDOW 2
#endif

#ifndef LATE_RESULTS
#define LATE_RESULTS 0    /* repeats in the results topic: event consumers that run again, late produces */
#endif
#ifndef OWNERS
#define OWNERS 0          /* event consumers, one after another, each with its produce request and its commits; 0: no such parts */
#endif
#ifndef TAKEOVERS
#define TAKEOVERS 0       /* a new owner of the results, with empty memory */
#endif
#ifndef ZOMBIES
#define ZOMBIES 0         /* whether the owner before goes on */
#endif
#ifndef RETURNS
#define RETURNS 0         /* a zombie gets the partition back */
#endif
#ifndef NACKS
#define NACKS 1           /* whether a router may divert at any time; else it does on a barrier, and where an ack is overdue at the end */
#endif
#ifndef LOST_BARRIERS
#define LOST_BARRIERS 0
#endif
#ifndef CRASHES
#define CRASHES 0         /* of pods */
#endif
#ifndef MAILBOX_ROLLBACKS
#define MAILBOX_ROLLBACKS 0
#endif
#ifndef NEWER_BARRIERS
#define NEWER_BARRIERS 0  /* a mailbox may keep the newer copy of a barrier */
#endif
#ifndef REGISTRY_ROLLBACKS
#define REGISTRY_ROLLBACKS 0
#endif
#ifndef REGISTRY_WIPES
#define REGISTRY_WIPES 0
#endif
#ifndef REMEMBERS
#define REMEMBERS 1       /* whether the client gives its last seq when it connects */
#endif
#ifndef HALF_OPEN
#define HALF_OPEN 0       /* gateways never notice a dead socket: only the registry tells them */
#endif
#ifndef CLOCK_STANDS
#define CLOCK_STANDS 0    /* two connections may fall into one millisecond */
#endif
/*
 * What may take its time. Where it is 0, it happens at once: then there are fewer states, and more of everything else can
 * be checked.
 */
#ifdef REPLAY
#define SLOW_HANDLERS 1
#define SLOW_TRIMS 1
#define SLOW_ACKS 1
#define DEAD_SOCKETS 1
#define REPEATED_PUSHES 1
#define STALE_PAGES 1
#define SPLIT_PRODUCE 1
#endif
#ifndef SLOW_HANDLERS
#define SLOW_HANDLERS 0   /* else an event is handled when it is published: routers read it late enough */
#endif
#ifndef SLOW_TRIMS
#define SLOW_TRIMS 0      /* else the mailbox is trimmed when a gateway passes an ack on */
#endif
#ifndef SLOW_ACKS
#define SLOW_ACKS 0       /* else the gateway hears the client's ack when the client shows the result */
#endif
#ifndef DEAD_SOCKETS
#define DEAD_SOCKETS 0    /* else the gateway learns at once that a socket is dead, and ends the session */
#endif
#ifndef REPEATED_PUSHES
#define REPEATED_PUSHES 0 /* else a push is forgotten once the client has it */
#endif
#ifndef STALE_PAGES
#define STALE_PAGES 0     /* a page of the mailbox is read, and arrives later */
#endif
#ifndef SPLIT_PRODUCE
#define SPLIT_PRODUCE 0   /* a backlog produce is sent, repeated and acknowledged in steps */
#endif
#ifndef OWN_SOCKET
#define OWN_SOCKET 1      /* the client reads one socket, its latest; else it may go on with what it got from any */
#endif
#if OWNERS
#define CONSUMERS OWNERS
#else
#define CONSUMERS 1
#endif
#ifndef TRAFFIC
#define TRAFFIC 0         /* it also ends while results keep coming */
#endif
#ifndef RETRIES
#define RETRIES 0         /* repeats of a backlog produce */
#endif

#ifndef SEQS
#if TRAFFIC
#define SEQS (EVENTS + OTHERS + BARRIERS + 16)
#else
#define SEQS (EVENTS + OTHERS + BARRIERS + 5)   /* with room for what Peace does */
#endif
#endif
#ifndef RESULTS
#if OWNERS
#define RESULTS (RESULTS_LIMIT + SEQS)
#else
#define RESULTS (SEQS + LATE_RESULTS)
#endif
#endif
#ifndef RESULTS_LIMIT
#define RESULTS_LIMIT (2 * (EVENTS + OTHERS + BARRIERS))   /* in the results topic before faults stop, repeats included */
#endif
#ifndef ROUTES
#if TRAFFIC
#define ROUTES 20
#else
#define ROUTES 7      /* that anything still knows of */
#endif
#endif
#if TRAFFIC && !defined(WIDE)
#define WIDE
#endif
#ifndef DLQ_SIZE
#define DLQ_SIZE (DLQ + SEQS + 2)
#endif
