//! Whether a delivery that a forge was asked for has come in.

use workflows::ids::DeliveryId;
use workflows::names::RepositoryName;

use crate::store::row::column;
use crate::store::{Store, StoreError};
use crate::webhook::trial::TRIAL_PREFIX;

impl Store {
    /// The newest delivery on disk; zero where there is none.
    pub(crate) async fn newest_delivery(&self) -> Result<DeliveryId, StoreError> {
        let newest = sqlx::query_scalar("SELECT coalesce(max(id), 0) FROM deliveries");
        Ok(DeliveryId(newest.fetch_one(&self.reader).await?))
    }

    /// The first delivery that a forge sent about a repository after `since` and that is an event of
    /// this kind. Trials of our own are none of the forge's.
    pub(crate) async fn delivered_since(
        &self,
        forge: &str,
        repository: &RepositoryName,
        kind: &str,
        since: DeliveryId,
    ) -> Result<Option<DeliveryId>, StoreError> {
        let found = sqlx::query(
            "SELECT d.id FROM deliveries d JOIN events e ON e.delivery_id = d.id \
             WHERE d.id > $1 AND d.forge = $2 AND e.repository = $3 AND e.kind = $4 \
             AND d.source = 'forge' AND substr(d.delivery, 1, length($5)) <> $5 \
             ORDER BY d.id LIMIT 1",
        )
        .bind(since.0)
        .bind(forge)
        .bind(repository.as_str())
        .bind(kind)
        .bind(TRIAL_PREFIX)
        .fetch_optional(&self.reader)
        .await?;
        found.map(|row| Ok(DeliveryId(column(&row, "id")?))).transpose()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::config::ForgeKind;
    use crate::store::{Insertion, NewDelivery};
    use crate::webhook::decoder::Decoder;
    use crate::webhook::signature::tests::verified;

    #[tokio::test]
    async fn what_the_forge_sent_since_is_found_and_a_trial_of_ours_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(&directory.path().join("strata.db")).await.unwrap();
        assert_eq!(store.newest_delivery().await.unwrap(), DeliveryId(0));
        let kinds = [("far".to_owned(), ForgeKind::Gitlab)];
        let decoder = Decoder::new(store.clone(), kinds, Arc::default(), Arc::default());
        let deliver = async |id: &str, kind: &str, project: &str| {
            let body = json!({"object_kind": kind, "project": {"path_with_namespace": project},
                "event_name": "expiring_access_token", "object_attributes": {"id": 1}});
            let delivery = NewDelivery {
                forge: "far".into(),
                delivery: id.to_owned(),
                event_name: "Resource Access Token Hook".into(),
                headers: "{}".into(),
                body: verified(body.to_string()),
            };
            let stored = store.insert_deliveries(vec![delivery], chrono::Utc::now()).await.unwrap();
            while decoder.decode_waiting().await.unwrap() > 0 {}
            let Insertion::Stored(id) = stored[0] else { panic!("{stored:?}") };
            id
        };
        let httpd = RepositoryName::parse("containers/httpd").unwrap();
        let found =
            async |since| store.delivered_since("far", &httpd, "ignored", since).await.unwrap();
        let before = deliver("one", "access_token", "containers/httpd").await;
        assert_eq!(store.newest_delivery().await.unwrap(), before);
        deliver("check-1", "test", "containers/httpd").await;
        deliver("two", "access_token", "containers/redis").await;
        assert_eq!(found(before).await, None);
        let expected = deliver("three", "access_token", "containers/httpd").await;
        deliver("four", "access_token", "containers/httpd").await;
        assert_eq!(found(before).await, Some(expected));
        assert_eq!(found(DeliveryId(0)).await, Some(before));
    }
}
