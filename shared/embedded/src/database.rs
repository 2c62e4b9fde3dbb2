//! One thread that owns the writing connection and commits in groups, and one that reads beside it.
//!
//! A commit waits for the disk. While it does, others queue up; the next transaction takes all of them. Each job has
//! a savepoint, so that one that fails leaves no trace and spoils none of its neighbours. Nobody is answered before the
//! commit: an answer means that the work is on the disk.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, mpsc};
use std::thread;

use rusqlite::Connection;
use shared::BoxError;
use shared::ports::{QueueError, StoreError};
use tokio::sync::{oneshot, watch};

/// A bound for the time that the first of a group waits for the last; far above what waits in practice.
const MAX_GROUP: usize = 512;

#[derive(Debug, thiserror::Error)]
pub(crate) enum DbError {
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    /// The whole group failed, typically for want of disk space.
    #[error("nothing could be written")]
    Commit(#[source] Arc<rusqlite::Error>),
    #[error("{0}")]
    Corrupt(String),
    #[error("the receipt is out of date: its message is visible again, was received anew, or is gone")]
    StaleReceipt,
    #[error("the store's thread broke off this work")]
    Broken,
}

impl DbError {
    pub(crate) fn of_store(self, store: &'static str) -> StoreError {
        match self {
            Self::Corrupt(what) => StoreError::Corrupt { store, what },
            // rusqlite's texts of these name the column and its type, never the value.
            Self::Sqlite(
                e @ (rusqlite::Error::InvalidColumnType(..)
                | rusqlite::Error::IntegralValueOutOfRange(..)
                | rusqlite::Error::FromSqlConversionFailure(..)),
            ) => StoreError::Corrupt { store, what: e.to_string() },
            other => StoreError::Unavailable { store, source: other.into() },
        }
    }

    pub(crate) fn of_queue(self) -> QueueError {
        QueueError::Unavailable(BoxError::from(self))
    }
}

type Committed = Result<(), Arc<rusqlite::Error>>;

/// Work on the connection. It returns whether it is to be kept, and what tells the caller once that is certain.
///
/// Given an error instead of a connection, it passes that on.
type Job = Box<dyn FnOnce(Result<&Connection, Arc<rusqlite::Error>>) -> (bool, Answer) + Send>;
type Answer = Box<dyn FnOnce(&Committed) + Send>;

/// A handle; the threads end when the last one is gone.
#[derive(Clone)]
pub(crate) struct Database {
    writer: mpsc::Sender<Job>,
    reader: mpsc::Sender<Job>,
}

impl Database {
    /// `reader` is a second connection to the same file; without one (a database in memory has but one connection)
    /// the writer reads too.
    pub(crate) fn start(writer: Connection, reader: Option<Connection>) -> std::io::Result<Self> {
        let (to_writer, jobs) = mpsc::channel();
        thread::Builder::new().name("store-writer".into()).spawn(move || write_in_groups(&writer, &jobs))?;
        let to_reader = match reader {
            Some(connection) => {
                let (to_reader, jobs) = mpsc::channel();
                thread::Builder::new()
                    .name("store-reader".into())
                    .spawn(move || read_one_by_one(&connection, &jobs))?;
                to_reader
            }
            None => to_writer.clone(),
        };
        Ok(Self { writer: to_writer, reader: to_reader })
    }

    /// `Ok` once the work is committed. It is done even if the caller no longer waits for it.
    pub(crate) async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, DbError> + Send + 'static,
    ) -> Result<T, DbError> {
        submit(&self.writer, work, None).await
    }

    /// As [`Self::write`]; `wake` counts up after the commit, whether or not the caller still waits.
    pub(crate) async fn write_and_wake<T: Send + 'static>(
        &self,
        wake: watch::Sender<u64>,
        work: impl FnOnce(&Connection) -> Result<T, DbError> + Send + 'static,
    ) -> Result<T, DbError> {
        submit(&self.writer, work, Some(wake)).await
    }

    /// Sees everything that was committed before.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, DbError> + Send + 'static,
    ) -> Result<T, DbError> {
        submit(&self.reader, work, None).await
    }
}

async fn submit<T: Send + 'static>(
    to: &mpsc::Sender<Job>,
    work: impl FnOnce(&Connection) -> Result<T, DbError> + Send + 'static,
    wake: Option<watch::Sender<u64>>,
) -> Result<T, DbError> {
    let (reply, answer) = oneshot::channel();
    let job: Job = Box::new(move |connection| {
        let result = connection.map_err(DbError::Commit).and_then(work);
        let keep = result.is_ok();
        let answer: Answer = Box::new(move |committed| {
            let result = match committed {
                Ok(()) => result,
                Err(e) => result.and_then(|_| Err(DbError::Commit(Arc::clone(e)))),
            };
            if let (Ok(_), Some(wake)) = (&result, wake) {
                wake.send_modify(|changes| *changes = changes.wrapping_add(1));
            }
            // The caller may be gone, as when a browser closes its connection.
            let _ = reply.send(result);
        });
        (keep, answer)
    });
    to.send(job).map_err(|_| DbError::Broken)?;
    answer.await.unwrap_or(Err(DbError::Broken))
}

fn read_one_by_one(connection: &Connection, jobs: &mpsc::Receiver<Job>) {
    for job in jobs {
        // A panic drops the job's reply, which tells its caller.
        if let Ok((_, answer)) = catch_unwind(AssertUnwindSafe(|| job(Ok(connection)))) {
            answer(&Ok(()));
        }
    }
}

fn write_in_groups(connection: &Connection, jobs: &mpsc::Receiver<Job>) {
    while let Ok(first) = jobs.recv() {
        let mut group = std::iter::once(first).chain(jobs.try_iter()).take(MAX_GROUP).peekable();
        // More than one transaction only if one was lost as a whole.
        while group.peek().is_some() {
            write_together(connection, &mut group);
        }
    }
}

fn write_together(connection: &Connection, group: &mut impl Iterator<Item = Job>) {
    if let Err(e) = execute(connection, "BEGIN IMMEDIATE") {
        for job in group {
            let (_, answer) = job(Err(Arc::clone(&e)));
            answer(&Ok(()));
        }
        return;
    }
    let mut answers = Vec::new();
    for job in group {
        answers.extend(run_in_savepoint(connection, job));
        // A full disk or a failing one makes SQLite roll back everything at once: what came before is lost, and what
        // comes after needs a transaction of its own.
        if connection.is_autocommit() {
            break;
        }
    }
    let committed = execute(connection, "COMMIT");
    if committed.is_err() && !connection.is_autocommit() {
        // Fails only if SQLite has rolled back by itself.
        let _ = execute(connection, "ROLLBACK");
    }
    for answer in answers {
        answer(&committed);
    }
}

/// `None` if the job panicked: its caller learns it from the dropped reply.
fn run_in_savepoint(connection: &Connection, job: Job) -> Option<Answer> {
    let begun = execute(connection, "SAVEPOINT job");
    let done = match begun {
        Ok(()) => catch_unwind(AssertUnwindSafe(|| job(Ok(connection)))),
        Err(e) => return Some(job(Err(e)).1),
    };
    if !matches!(done, Ok((true, _))) {
        // Fails only if SQLite has rolled back by itself, which the caller of this looks for.
        let _ = execute(connection, "ROLLBACK TO job");
    }
    let _ = execute(connection, "RELEASE job");
    done.ok().map(|(_, answer)| answer)
}

fn execute(connection: &Connection, statement: &str) -> Committed {
    connection.prepare_cached(statement).and_then(|mut s| s.execute([])).map(drop).map_err(Arc::new)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use futures::FutureExt;

    use super::*;

    fn open() -> Database {
        open_counting(&Arc::default())
    }

    fn open_counting(commits: &Arc<AtomicU64>) -> Database {
        let mut connection = Connection::open_in_memory().expect("in memory");
        connection.execute_batch("CREATE TABLE t (n INTEGER PRIMARY KEY, tx INTEGER)").expect("table");
        let commits = Arc::clone(commits);
        let count = move || {
            commits.fetch_add(1, Ordering::SeqCst);
            false
        };
        connection.commit_hook(Some(count)).expect("hook");
        Database::start(connection, None).expect("threads")
    }

    fn insert(n: i64) -> impl FnOnce(&Connection) -> Result<(), DbError> + Send + 'static {
        move |c| Ok(c.execute("INSERT INTO t (n) VALUES (?1)", [n]).map(drop)?)
    }

    async fn numbers(db: &Database) -> Vec<i64> {
        db.read(|c| {
            let mut statement = c.prepare("SELECT n FROM t ORDER BY n")?;
            Ok(statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?)
        })
        .await
        .expect("read")
    }

    /// Holds the writer until the sender is dropped, so that what is submitted meanwhile is one group.
    fn hold(db: &Database) -> (mpsc::Sender<()>, impl Future<Output = Result<(), DbError>>) {
        let (release, held) = mpsc::channel::<()>();
        let db = db.clone();
        let holding = tokio::spawn(async move {
            db.write(move |_| {
                let _ = held.recv();
                Ok(())
            })
            .await
        });
        let joined = async move { holding.await.expect("held") };
        (release, joined)
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn what_waits_together_is_committed_together() {
        let commits = Arc::default();
        let db = open_counting(&commits);
        let before = commits.load(Ordering::SeqCst);
        let (release, held) = hold(&db);
        let writes: Vec<_> = (0..100)
            .map(|n| {
                let db = db.clone();
                tokio::spawn(async move { db.write(insert(n)).await })
            })
            .collect();
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        drop(release);
        held.await.expect("held");
        for write in writes {
            write.await.expect("task").expect("written");
        }
        let after = commits.load(Ordering::SeqCst);
        assert_eq!(numbers(&db).await.len(), 100);
        assert!(after - before <= 3, "100 writes took {} commits", after - before);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_job_that_fails_or_panics_leaves_no_trace_and_spoils_no_other() {
        let db = open();
        let (release, held) = hold(&db);
        let good = |n| {
            let db = db.clone();
            tokio::spawn(async move { db.write(insert(n)).await })
        };
        let first = good(1);
        let bad = {
            let db = db.clone();
            tokio::spawn(async move {
                db.write(|c| {
                    insert(2)(c)?;
                    Err::<(), _>(DbError::Corrupt("on purpose".into()))
                })
                .await
            })
        };
        let panicking = {
            let db = db.clone();
            tokio::spawn(async move {
                db.write(|c| {
                    insert(3)(c)?;
                    assert!(c.is_autocommit(), "on purpose");
                    Ok(())
                })
                .await
            })
        };
        let last = good(4);
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        drop(release);
        held.await.expect("held");
        first.await.expect("task").expect("written");
        last.await.expect("task").expect("written");
        assert!(matches!(bad.await.expect("task"), Err(DbError::Corrupt(_))));
        assert!(matches!(panicking.await.expect("task"), Err(DbError::Broken)));
        assert_eq!(numbers(&db).await, [1, 4]);
    }

    #[tokio::test]
    async fn a_transaction_that_is_rolled_back_as_a_whole_fails_its_jobs_and_no_later_one() {
        let db = open();
        db.write(insert(1)).await.expect("before");
        let lost = db
            .write(|c| {
                insert(2)(c)?;
                Ok(c.execute_batch("ROLLBACK")?)
            })
            .await;
        assert!(matches!(lost, Err(DbError::Commit(_))), "{lost:?}");
        db.write(insert(3)).await.expect("after");
        assert_eq!(numbers(&db).await, [1, 3]);
    }

    #[tokio::test]
    async fn work_is_done_and_wakes_although_its_caller_went_away() {
        let db = open();
        // Else it may be done before anybody can go away.
        let (release, held) = mpsc::channel::<()>();
        let mut holding = Box::pin(db.write(move |_| {
            let _ = held.recv();
            Ok(())
        }));
        assert!((&mut holding).now_or_never().is_none());
        let wake = watch::Sender::new(0);
        let mut woken = wake.subscribe();
        let mut writing = Box::pin(db.write_and_wake(wake, insert(7)));
        assert!((&mut writing).now_or_never().is_none());
        drop(writing);
        drop(release);
        holding.await.expect("held");
        woken.changed().await.expect("woken");
        assert_eq!(numbers(&db).await, [7]);
    }
}
