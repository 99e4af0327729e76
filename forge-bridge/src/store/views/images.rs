//! The list of images, and reading one.

use std::collections::HashMap;

use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Row, Sqlite, SqliteConnection};
use workflows::ids::{ImageId, RunId};

use super::{cut_page, time, time_option, unsigned};
use crate::store::{Store, StoreError};
use crate::views::{Image, ImageFilter, ImageTag, Images, page_rows};

impl Store {
    /// A page of images, newest first.
    pub(crate) async fn list_images(&self, filter: &ImageFilter) -> Result<Images, StoreError> {
        let wanted = page_rows(filter.limit);
        let mut query = QueryBuilder::<Sqlite>::new(
            "SELECT i.*, j.run_id, j.name AS job FROM images i \
             JOIN jobs j ON j.id = i.job_id WHERE 1",
        );
        if let Some(name) = &filter.name {
            query.push(" AND (i.repository = ").push_bind(name);
            query.push(" OR i.registry || '/' || i.repository = ").push_bind(name).push(")");
        }
        if let Some(release) = &filter.release {
            query.push(" AND i.release = ").push_bind(release);
        }
        if let Some(before) = filter.before {
            query.push(" AND i.id < ").push_bind(before);
        }
        query.push(" ORDER BY i.id DESC LIMIT ").push_bind(i64::from(wanted) + 1);
        let mut tx = self.reader.begin().await?;
        let rows = query.build().fetch_all(&mut *tx).await?;
        let mut images = rows.iter().map(image).collect::<Result<Vec<_>, _>>()?;
        let next = cut_page(&mut images, wanted, |image| image.id.0);
        let ids: Vec<i64> = images.iter().map(|image| image.id.0).collect();
        let mut tags = tags_where(&mut tx, &ids).await?;
        for image in &mut images {
            image.tags = tags.remove(&image.id).unwrap_or_default();
        }
        Ok(Images { images, next })
    }
}

/// An image without its tags, from `images` with `run_id` and `job` of its job.
pub(super) fn image(row: &SqliteRow) -> Result<Image, StoreError> {
    let registry: &str = row.try_get("registry")?;
    let repository: &str = row.try_get("repository")?;
    Ok(Image {
        id: ImageId(row.try_get("id")?),
        run: RunId(row.try_get("run_id")?),
        job: row.try_get("job")?,
        release: row.try_get("release")?,
        reference: row.try_get("reference")?,
        name: format!("{registry}/{repository}"),
        digest: row.try_get("digest")?,
        size_bytes: unsigned(row, "size_bytes")?,
        mode: row.try_get("mode")?,
        nvr: row.try_get("nvr")?,
        created_at: time(row, "created_at")?,
        tags: Vec::new(),
    })
}

/// The tags of some images, in the order in which they are put.
pub(super) async fn tags_where(
    tx: &mut SqliteConnection,
    images: &[i64],
) -> Result<HashMap<ImageId, Vec<ImageTag>>, StoreError> {
    let mut found: HashMap<ImageId, Vec<ImageTag>> = HashMap::new();
    if images.is_empty() {
        return Ok(found);
    }
    let mut query = QueryBuilder::<Sqlite>::new("SELECT * FROM image_tags WHERE image_id IN (");
    let mut ids = query.separated(", ");
    for image in images {
        ids.push_bind(*image);
    }
    query.push(
        ") ORDER BY image_id, \
         CASE class WHEN 'unique' THEN 0 WHEN 'primary' THEN 1 ELSE 2 END, tag",
    );
    for row in query.build().fetch_all(tx).await? {
        found.entry(ImageId(row.try_get("image_id")?)).or_default().push(ImageTag {
            class: row.try_get("class")?,
            tag: row.try_get("tag")?,
            put_at: time_option(&row, "put_at")?,
            removed_at: time_option(&row, "removed_at")?,
        });
    }
    Ok(found)
}
