/*
 * Tasks (docs/protocol.md, *Tasks*): one task, its event consumers and its workers, over three logs.
 *
 *   events ──▶ Consumer (TaskLedger) ──▶ results ──▶ the client
 *     ▲                │
 *     │                ▼
 *   begin, part,     tasks ──▶ Worker (TaskQueue)
 *   end  └──────────────────────┘
 *
 * Of consumers and of workers there is an owner, and the one before it, which may go on as a zombie or never do anything
 * again: then it has crashed. What a worker publishes may come once more, late. A rule is taken out with
 * -DNO_RULE_<name>; see Rules.ts. In every state is asked whether the task ends once nothing breaks any more, with the
 * owners that are there, and with heirs that begin at the commits.
 */
#include "invariant.pml"

#ifndef PARTS
#define PARTS 2      /* of the whole answer */
#endif
#ifndef RESUMES
#define RESUMES 0    /* whether a later attempt goes on behind the parts of those before */
#endif
#ifndef RUNS
#define RUNS 2       /* that workers begin, before nothing breaks any more */
#endif
#ifndef COPIES
#define COPIES 0     /* of a worker's records, late */
#endif
#ifndef CANCELS
#define CANCELS 0
#endif
#ifndef RETRIES
#define RETRIES 0    /* runs that fail, or that are given up before they have begun by the log */
#endif
#ifndef CONSUMERS
#define CONSUMERS 1  /* one after another */
#endif
#ifndef WORKERS
#define WORKERS 1    /* one after another */
#endif

#define MAX_RUNS (RUNS + RETRIES + 4)
#define MAX_EVENTS (2 + MAX_RUNS * (PARTS + 2) + COPIES + CANCELS)
#define MAX_NOTES (CONSUMERS * (3 + (RUNS + RETRIES) * (PARTS + 2) + COPIES + CANCELS) + 4 * (PARTS + 2) + 16)
#define MAX_ROUNDS 40
#define NONE 255

/* Records of the events topic. The task is named by the offset of its event, 0. */
#define EVENT 1
#define BEGIN 2
#define PART 3
#define END 4
#define CANCEL 5
typedef Record { byte what; byte by; byte part; byte content }

/* Records of the tasks topic. */
#define OPEN 1
#define BEGUN 2
#define PROGRESS 3
#define ENDED 4
typedef Note { byte what; byte by; byte attempt; byte next }

/* What becomes of a record. */
#define IGNORED 1
#define OPENED 2
#define BEGAN 3
#define COUNTED 4
#define DONE 5
#define CANCELLED 6
typedef Verdict { byte what; byte by; byte attempt; byte part }

/* An event consumer: what it has read, and what it has not written yet of what became of the last record. */
typedef Consumer {
  byte position;
  bool is_open; byte attempt; byte next; byte by;
  Verdict verdict; Note note;
  bool has_verdict
}

#define UNKNOWN 0
#define WAITING 1
#define BEGINNING 2
#define RUNNING 3
#define LEAVING 4
#define FENCED 5
/* A task worker. `end`: of the topic when it got the partition. `published`: the parts that it has read for `resumes`. */
typedef Worker { byte at; byte end; byte status; byte task_at; byte attempt; byte by; byte next; byte published }

Record events[MAX_EVENTS];
byte events_end;
Note notes[MAX_NOTES];
byte notes_end;
Consumer consumer[2];
byte consumer_owner;
byte consumers_made;
byte consumer_commit;
Worker worker[2];
byte worker_owner;
byte workers_made;
byte worker_commit;
byte runs_made;
byte copies;
byte retries;
byte cancels;

/* The client's account: what became of each record when that was first said, and what it has. */
Verdict account[MAX_EVENTS];
byte judged;
byte has_attempt;
byte has_run;
byte has_parts;
bool has_end;

hidden byte x; hidden byte y; hidden byte e; hidden byte w; hidden byte round; hidden byte phase; hidden byte start; hidden byte at_commit;

inline append_event(a_what, a_run, a_part, a_content) {
  events[events_end].what = a_what;
  events[events_end].by = a_run;
  events[events_end].part = a_part;
  events[events_end].content = a_content;
  events_end++
}

/* TaskLedger */

#ifdef NO_RULE_TASK_FENCE
#define is_of_latest(e, r) true
#else
#define is_of_latest(e, r) (events[r].by == consumer[e].by)
#endif
#ifdef NO_RULE_TASK_PARTS
#define is_next(e, r) true
#else
#define is_next(e, r) (events[r].part == consumer[e].next)
#endif
#ifdef NO_RULE_TASK_END_BEHIND_PARTS
#define is_last(e, r) true
#else
#define is_last(e, r) (events[r].part == consumer[e].next)
#endif
#ifdef NO_RULE_TASK_RUN_BEGINS_ONCE
#define has_begun(e, r) false
#else
#define has_begun(e, r) (events[r].by == consumer[e].by)
#endif

#ifdef NO_RULE_TASK_ONE_END
#define closes(e) skip
#else
#define closes(e) consumer[e].is_open = false
#endif

#ifdef NO_RULE_TASK_ATTEMPTS_GROW
#define grow(e) consumer[e].attempt = 1
#else
#define grow(e) consumer[e].attempt++
#endif

#ifdef NO_RULE_TASK_BEGIN_IS_ANSWERED
#define answer(e) skip
#else
#define answer(e) consumer[e].note.what = ENDED
#endif

/* The consumer takes a record: `verdict` and `note` say what becomes of it. */
inline take(e, r) {
  consumer[e].verdict.what = IGNORED;
  consumer[e].verdict.by = 0;
  consumer[e].verdict.attempt = 0;
  consumer[e].verdict.part = 0;
  consumer[e].note.what = 0;
  consumer[e].note.by = 0;
  consumer[e].note.attempt = 0;
  consumer[e].note.next = 0;
  if
  :: events[r].what == EVENT ->
    consumer[e].is_open = true;
    consumer[e].verdict.what = OPENED;
    consumer[e].note.what = OPEN
  :: events[r].what == BEGIN && !consumer[e].is_open -> answer(e)
  :: events[r].what == BEGIN && consumer[e].is_open && !has_begun(e, r) ->
    grow(e);
    consumer[e].by = events[r].by;
    consumer[e].next = (RESUMES -> consumer[e].next : 0);
    consumer[e].verdict.what = BEGAN;
    consumer[e].note.what = BEGUN;
    consumer[e].note.by = events[r].by;
    consumer[e].note.attempt = consumer[e].attempt;
    consumer[e].note.next = consumer[e].next
  :: events[r].what == PART && consumer[e].is_open && is_of_latest(e, r) && is_next(e, r) ->
    consumer[e].verdict.what = COUNTED;
    consumer[e].verdict.part = consumer[e].next;
    consumer[e].next++;
#if RESUMES
    consumer[e].note.what = PROGRESS;
    consumer[e].note.next = consumer[e].verdict.part
#endif
  :: events[r].what == END && consumer[e].is_open && is_of_latest(e, r) && is_last(e, r) ->
    consumer[e].verdict.what = DONE;
    consumer[e].verdict.part = consumer[e].next;
    consumer[e].note.what = ENDED;
    closes(e)
  :: events[r].what == CANCEL && consumer[e].is_open ->
    consumer[e].verdict.what = CANCELLED;
    consumer[e].verdict.part = consumer[e].next;
    consumer[e].note.what = ENDED;
    closes(e)
  :: else -> skip
  fi;
  if
  :: consumer[e].verdict.what > OPENED ->
    consumer[e].verdict.attempt = consumer[e].attempt;
    consumer[e].verdict.by = events[r].by
  :: else -> skip
  fi;
  consumer[e].position++
}

/* What it says of its last record first counts, and must be said again by whoever reads the record again. */
inline write_verdict(e) {
  x = consumer[e].position - 1;
  printf("event consumer %d: record %d (%d of run %d) becomes %d, attempt %d, part %d\n", e, x, events[x].what, events[x].by,
    consumer[e].verdict.what, consumer[e].verdict.attempt, consumer[e].verdict.part);
  if
  :: x < judged ->
    invariant("tasks: what becomes of a record depends on the log alone",
      account[x].what == consumer[e].verdict.what && account[x].by == consumer[e].verdict.by &&
      account[x].attempt == consumer[e].verdict.attempt && account[x].part == consumer[e].verdict.part)
  :: else -> judge(e)
  fi;
  consumer[e].has_verdict = false
}

inline judge(e) {
  invariant("tasks: nothing is skipped", x == judged);
  account[x].what = consumer[e].verdict.what;
  account[x].by = consumer[e].verdict.by;
  account[x].attempt = consumer[e].verdict.attempt;
  account[x].part = consumer[e].verdict.part;
  judged++;
  if
  :: account[x].what == BEGAN ->
    invariant("tasks: nothing behind the end", !has_end);
    invariant("tasks: attempts grow", account[x].attempt == has_attempt + 1);
    has_attempt = account[x].attempt;
    has_run = account[x].by;
    has_parts = (RESUMES -> has_parts : 0)
  :: account[x].what == COUNTED ->
    invariant("tasks: nothing behind the end", !has_end);
    invariant("tasks: parts come from the latest attempt alone",
      account[x].by == has_run && account[x].attempt == has_attempt);
    invariant("tasks: each part once, in order", account[x].part == has_parts && events[x].content == has_parts);
    has_parts++
  :: account[x].what == DONE || account[x].what == CANCELLED ->
    invariant("tasks: one end", !has_end);
    invariant("tasks: no part is missing before the end",
      account[x].what == CANCELLED || (has_parts == PARTS && account[x].part == PARTS));
    has_end = true
#if RESUMES
  :: account[x].what == IGNORED && events[x].what == PART && events[x].by == has_run && copies == 0 ->
    invariant("tasks: a handler that resumes makes no part twice", has_end)
#endif
  :: else -> skip
  fi
}

inline write_note(e) {
  notes[notes_end].what = consumer[e].note.what;
  notes[notes_end].by = consumer[e].note.by;
  notes[notes_end].attempt = consumer[e].note.attempt;
  notes[notes_end].next = consumer[e].note.next;
  consumer[e].note.what = 0;
  consumer[e].note.by = 0;
  consumer[e].note.attempt = 0;
  consumer[e].note.next = 0;
  printf("event consumer %d: note %d is %d of run %d\n", e, notes_end, notes[notes_end].what, notes[notes_end].by);
  notes_end++
}

/* Only what has become something has anything to be written. */
inline consume(e) {
  take(e, consumer[e].position);
  consumer[e].has_verdict = true;
  if
  :: consumer[e].verdict.what < COUNTED -> write_verdict(e)
  :: else -> skip
  fi
}

#define is_idle(e) (!consumer[e].has_verdict && consumer[e].note.what == 0)
#ifdef NO_RULE_TASK_BOTH_PRODUCES
#define acknowledged(e) (consumer[e].position - (consumer[e].has_verdict -> 1 : 0))
#else
#define acknowledged(e) (consumer[e].position - (is_idle(e) -> 0 : 1))
#endif

/* Where a reader begins that starts over at this commit: `oldest`. The task matters until its end is before the commit. */
inline read_from(commit, to) {
  to = commit;
#ifndef NO_RULE_TASK_OLDEST
  y = 0;
  do
  :: y < judged && account[y].what != DONE && account[y].what != CANCELLED -> y++
  :: else -> break
  od;
#ifdef NO_RULE_TASK_ENDED_STAYS
  to = (y == judged -> 0 : commit)
#else
  to = (y >= commit -> 0 : commit)
#endif
#endif
}

/* The next owner begins at a commit, with what it reads back. The one before goes on as a zombie; the one before that not. */
inline start_consumer(commit) {
  consumer_commit = commit;
  read_from(commit, start);
  e = 1 - consumer_owner;
  consumer_owner = e;
  consumer[e].position = start;
  consumer[e].is_open = false;
  consumer[e].attempt = 0;
  consumer[e].next = 0;
  consumer[e].by = 0;
  do
  :: consumer[e].position < commit -> x = consumer[e].position; take(e, x)
  :: else -> break
  od;
  consumer[e].note.what = 0;
  consumer[e].note.by = 0;
  consumer[e].note.attempt = 0;
  consumer[e].note.next = 0;
  consumer[e].has_verdict = false;
  printf("event consumer %d takes over at %d, reads from %d\n", e, commit, start)
}

/* TaskQueue */

inline forget_run(w) {
  worker[w].by = 0;
  worker[w].next = 0
}

/* A consumer that starts over writes what it reads again, again. */
#ifdef NO_RULE_TASK_BEGUN_ONCE
#define is_new(w, x) (notes[x].attempt > 0)
#else
#define is_new(w, x) (notes[x].attempt > worker[w].attempt)
#endif

/* Its run may start; that of another has replaced it. */
inline begun(w, x) {
  worker[w].attempt = notes[x].attempt;
  if
#ifdef NO_RULE_TASK_STARTS_WHEN_BEGUN
  :: worker[w].by == notes[x].by && worker[w].status != BEGINNING -> skip
  :: worker[w].by == notes[x].by && worker[w].status == BEGINNING ->
#else
  :: worker[w].by == notes[x].by ->
#endif
    invariant("tasks: a run starts once", worker[w].status == BEGINNING);
    worker[w].status = RUNNING;
    worker[w].next = notes[x].next;
    printf("worker %d: run %d starts at part %d, published %d\n", w, worker[w].by, worker[w].next, worker[w].published);
    invariant("tasks: published has the parts of earlier attempts", !RESUMES || worker[w].published == worker[w].next)
#ifndef NO_RULE_TASK_OTHER_RUN_FENCES
  :: worker[w].by != 0 && worker[w].by != notes[x].by ->
    printf("worker %d: run %d is fenced by %d\n", w, worker[w].by, notes[x].by);
    worker[w].status = FENCED;
    forget_run(w)
#endif
  :: else -> skip
  fi
}

inline read_note(w) {
  x = worker[w].at;
  worker[w].at++;
  if
  :: notes[x].what == OPEN && worker[w].status == UNKNOWN ->
    worker[w].status = WAITING;
    worker[w].task_at = x;
    worker[w].published = 0
  :: notes[x].what == BEGUN && worker[w].status != UNKNOWN && is_new(w, x) -> begun(w, x)
  :: notes[x].what == PROGRESS && notes[x].next == worker[w].published -> worker[w].published++
  :: notes[x].what == ENDED ->
    worker[w].status = UNKNOWN;
    worker[w].task_at = 0;
    worker[w].attempt = 0;
    worker[w].published = 0;
    forget_run(w)
  :: else -> skip
  fi
}

inline begin(w) {
  x = worker[w].task_at;
  do
  :: x < worker[w].end -> invariant("tasks: what has ended is not begun by the next worker", notes[x].what != ENDED); x++
  :: else -> break
  od;
  begin_run(w)
}

inline begin_run(w) {
  runs_made++;
  worker[w].by = runs_made;
  worker[w].status = BEGINNING;
  printf("worker %d begins run %d\n", w, runs_made);
#ifdef NO_RULE_TASK_STARTS_WHEN_BEGUN
  /* The handler starts at once, with what is known. */
  worker[w].status = RUNNING;
  worker[w].next = worker[w].published;
#endif
  append_event(BEGIN, worker[w].by, 0, 0)
}

/* The next part, or behind the last one the end. A handler that resumes makes what it knows not to be there. */
inline work(w) {
  if
  :: worker[w].next < PARTS ->
    printf("worker %d publishes part %d of run %d\n", w, worker[w].next, worker[w].by);
    append_event(PART, worker[w].by, worker[w].next, worker[w].next);
    worker[w].next++
  :: else ->
    printf("worker %d publishes the end of run %d\n", w, worker[w].by);
    append_event(END, worker[w].by, PARTS, 0);
    worker[w].status = LEAVING
  fi
}

#ifdef NO_RULE_TASK_READS_TO_THE_END
#define is_caught_up(w) true
#else
#define is_caught_up(w) (worker[w].at >= worker[w].end)
#endif
#ifdef NO_RULE_TASK_COMMIT_WAITS
#define to_commit(w) worker[w].at
#else
#define to_commit(w) (worker[w].status == UNKNOWN -> worker[w].at : worker[w].task_at)
#endif

inline start_worker() {
  worker_commit = to_commit(worker_owner);
  w = 1 - worker_owner;
  worker_owner = w;
  worker[w].at = worker_commit;
  worker[w].end = notes_end;
  worker[w].status = UNKNOWN;
  worker[w].task_at = 0;
  worker[w].attempt = 0;
  worker[w].published = 0;
  forget_run(w);
  printf("worker %d takes over at %d\n", w, worker_commit)
}

/* It ends: once nothing breaks any more, everyone takes his turn. */

inline settle() {
  round = 0;
  do
  :: round < MAX_ROUNDS ->
    e = consumer_owner;
    w = worker_owner;
    do
    :: consumer[e].has_verdict -> write_verdict(e)
    :: !consumer[e].has_verdict && consumer[e].note.what != 0 -> write_note(e)
    :: is_idle(e) && consumer[e].position < events_end -> consume(e)
    :: else -> break
    od;
    do
    :: worker[w].at < notes_end -> read_note(w)
    :: else -> break
    od;
    if
    :: worker[w].status == FENCED -> worker[w].status = WAITING
    :: worker[w].status == WAITING && is_caught_up(w) && runs_made < MAX_RUNS -> begin(w)
    :: worker[w].status == RUNNING -> work(w)
    :: else -> round = (consumer[e].position == events_end -> MAX_ROUNDS : round)
    fi;
    round = (round < MAX_ROUNDS -> round + 1 : round)
  :: else -> break
  od;
  invariant("tasks: each task ends", has_end);
  invariant("tasks: no worker has one that has ended", worker[worker_owner].status == UNKNOWN)
}

c_decl { static char kept[sizeof(char) * 16384]; }

proctype Peace() {
end:
  do
  :: d_step {
       c_code { memcpy(kept, &now, vsize); };
       printf("the owners go on, and nothing breaks\n");
       settle();
       c_code { memcpy(&now, kept, vsize); };
       printf("the owners have died, and nothing breaks\n");
       at_commit = acknowledged(consumer_owner);
       start_consumer(at_commit);
       start_worker();
       settle();
       c_code { memcpy(&now, kept, vsize); } }
  od
}

#define is_consumer(e) (e == consumer_owner || consumers_made > 1)
#define is_worker(w) (w == worker_owner || workers_made > 1)
#define may_write() (notes_end < MAX_NOTES - 4 * (PARTS + 2) - 12)

proctype EventConsumer(byte c) {
end:
  do
  :: d_step { is_consumer(c) && is_idle(c) && consumer[c].position < events_end -> consume(c) }
  :: d_step { consumer[c].has_verdict -> write_verdict(c) }
  :: d_step { !consumer[c].has_verdict && consumer[c].note.what != 0 && may_write() -> write_note(c) }
  od
}

proctype TaskWorker(byte c) {
end:
  do
  :: d_step { is_worker(c) && worker[c].at < notes_end -> read_note(c) }
  :: d_step { worker[c].status == WAITING && is_caught_up(c) && runs_made < RUNS + RETRIES -> begin(c) }
  :: d_step { worker[c].status == RUNNING -> work(c) }
  :: d_step { (worker[c].status == BEGINNING || worker[c].status == RUNNING) && retries < RETRIES ->
       retries++;
       worker[c].next = 0;
       printf("worker %d gives run %d up\n", c, worker[c].by);
       begin_run(c) }
  :: d_step { worker[c].status == FENCED && runs_made < RUNS + RETRIES -> worker[c].status = WAITING }
  od
}

proctype Faults() {
  byte s;
end:
  do
  :: atomic { consumers_made < CONSUMERS ->
       s = acknowledged(consumer_owner);
       /* It was written when it was, or never. */
       if
       :: skip
       :: s > consumer_commit -> s = consumer_commit
       :: s > consumer_commit + 1 -> s = s - 1
       fi;
       d_step { consumers_made++; start_consumer(s); s = 0 } }
  :: atomic { workers_made < WORKERS -> d_step { workers_made++; start_worker() } }
  :: atomic { cancels < CANCELS -> d_step { cancels++; printf("the client cancels\n"); append_event(CANCEL, 0, 0, 0) } }
  :: atomic { copies < COPIES && events_end > 1 ->
       select(s : 1 .. events_end - 1);
       if
       :: events[s].what != CANCEL ->
         d_step {
           copies++;
           printf("the record %d comes once more\n", s);
           append_event(events[s].what, events[s].by, events[s].part, events[s].content);
           s = 0 }
       :: else -> s = 0
       fi }
  od
}

init {
  atomic {
    append_event(EVENT, 0, 0, 0);
    consumers_made = 1;
    workers_made = 1;
    run EventConsumer(0);
    run EventConsumer(1);
    run TaskWorker(0);
    run TaskWorker(1);
    run Faults();
    run Peace()
  }
}
