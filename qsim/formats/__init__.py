"""What bits mean: one specification object for each number and storage format, with exact encode and decode."""
