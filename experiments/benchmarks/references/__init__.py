"""The same networks in other libraries, and how outputs are compared with theirs."""
