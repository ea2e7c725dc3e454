//! The table: requests and winners, and a plain reading of the precedence as oracle.
