//! What a flow record is: one table of its fields, elements and document types.
