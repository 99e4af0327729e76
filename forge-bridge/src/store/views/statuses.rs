//! The list of commit statuses.

use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Row, Sqlite};
use workflows::ids::RunId;

use super::{cut_page, time, unsigned};
use crate::store::{Store, StoreError};
use crate::views::{ListedStatus, StatusFilter, Statuses, page_rows};

/// How a status stands at its forge.
const STANDING: &str = "CASE WHEN refusal IS NOT NULL THEN 'refused' \
     WHEN reported < desired THEN 'behind' ELSE 'told' END";

impl Store {
    /// A page of statuses, newest first.
    pub(crate) async fn list_statuses(
        &self,
        filter: &StatusFilter,
    ) -> Result<Statuses, StoreError> {
        let wanted = page_rows(filter.limit);
        let mut query = QueryBuilder::<Sqlite>::new("SELECT *, ");
        query.push(STANDING).push(" AS standing FROM statuses WHERE 1");
        match filter.state.as_deref() {
            // Said as the partial indexes say it.
            Some("refused") => drop(query.push(" AND refusal IS NOT NULL")),
            Some("behind") => drop(query.push(" AND reported < desired AND refusal IS NULL")),
            Some(state) => drop(query.push(format!(" AND {STANDING} = ")).push_bind(state)),
            None => {}
        }
        if let Some(repository) = &filter.repository {
            query.push(" AND repository = ").push_bind(repository);
        }
        if let Some(before) = filter.before {
            query.push(" AND id < ").push_bind(before);
        }
        query.push(" ORDER BY id DESC LIMIT ").push_bind(i64::from(wanted) + 1);
        let rows = query.build().fetch_all(&self.reader).await?;
        let mut statuses = rows.iter().map(listed).collect::<Result<Vec<_>, _>>()?;
        let next = cut_page(&mut statuses, wanted, |status| status.id);
        Ok(Statuses { statuses, next })
    }
}

fn listed(row: &SqliteRow) -> Result<ListedStatus, StoreError> {
    Ok(ListedStatus {
        id: row.try_get("id")?,
        run: RunId(row.try_get("run_id")?),
        forge: row.try_get("forge")?,
        repository: row.try_get("repository")?,
        commit: row.try_get("commit_id")?,
        context: row.try_get("context")?,
        state: row.try_get("state")?,
        description: row.try_get("description")?,
        standing: row.try_get("standing")?,
        attempts: unsigned(row, "attempts")?,
        refusal: row.try_get("refusal")?,
        changed_at: time(row, "changed_at")?,
    })
}
