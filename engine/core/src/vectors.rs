//! Rows of the tables in `spec/subjects`, which tests of both languages read.

/// The cells of each row, without comments. Panics when a row has not `cells` of them.
pub(crate) fn rows(table: &str, cells: usize) -> Vec<Vec<&str>> {
    let lines = table.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#'));
    let rows: Vec<Vec<&str>> = lines.map(|line| line.split('|').map(str::trim).collect()).collect();
    for row in &rows {
        assert_eq!(row.len(), cells, "{row:?}");
    }
    assert!(!rows.is_empty());
    rows
}

/// The comma-separated items of a cell.
pub(crate) fn items(cell: &str) -> Vec<Vec<u8>> {
    cell.split(',').map(|item| item.trim().as_bytes().to_vec()).filter(|item| !item.is_empty()).collect()
}

/// `yes` or `no`.
pub(crate) fn truth(cell: &str) -> bool {
    match cell {
        "yes" => true,
        "no" => false,
        other => panic!("wanted yes or no, found {other:?}"),
    }
}
